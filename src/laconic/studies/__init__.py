"""The shipped studies, as TOML files: tutorials and smoke tests at once."""
