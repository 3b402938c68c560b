"""`lakon verify`: a JSONL file graded without a study."""
