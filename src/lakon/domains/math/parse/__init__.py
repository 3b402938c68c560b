"""From text to trees: characters, LaTeX, brackets, the grammar of one expression. Nothing here compares."""
