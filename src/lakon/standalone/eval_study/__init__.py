"""`lakon eval`: a study of nothing but an evaluation, written from the words of a command line."""
