"""Which part of an answer is the answer: boxes, marked phrases, unmarked prose."""
