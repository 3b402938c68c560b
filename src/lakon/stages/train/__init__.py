"""The specs of students and of their training."""
