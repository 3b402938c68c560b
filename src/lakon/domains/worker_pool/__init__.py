"""Worker processes that can be killed row by row."""
