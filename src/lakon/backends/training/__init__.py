"""Fine-tuning of students with TRL."""
