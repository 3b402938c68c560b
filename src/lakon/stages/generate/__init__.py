"""Asking authors for traces."""
