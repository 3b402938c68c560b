"""Rows of data sets: Parquet files and the Hugging Face hub."""
