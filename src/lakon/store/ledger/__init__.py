"""The append-only file of raw responses that were paid for."""
