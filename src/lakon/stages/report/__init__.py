"""What a report says, from scores and tables."""
