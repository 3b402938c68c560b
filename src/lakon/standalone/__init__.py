"""Verbs that need no study."""
