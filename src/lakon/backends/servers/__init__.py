"""Servers that Lakon starts: a model in a folder, served as long as it is asked, and tested before it is trusted."""
