"""Whether two parsed answers are equal, one rule a file."""
