"""A file for each format of results; `open_file.py` says which one a file has."""
