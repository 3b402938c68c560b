"""The outside world, one file per outside thing; heavy libraries are imported inside functions only."""
