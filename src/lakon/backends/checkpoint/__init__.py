"""Models in a folder, sampled in worker processes."""
