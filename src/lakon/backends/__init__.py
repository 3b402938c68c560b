"""The world outside, behind `core.protocols`: endpoints, checkpoints, training, data sets, recorded traces."""
