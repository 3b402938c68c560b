"""What kind of thing an answer is: number, list, interval, matrix, equation, words; and the reader that tells."""
