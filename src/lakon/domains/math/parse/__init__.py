"""From text to structure: brackets, numbers, units, expressions. Nothing here compares."""
