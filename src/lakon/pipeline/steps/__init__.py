"""One file a stage: the key of a step and its body, side by side."""
