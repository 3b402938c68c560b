"""How a run is watched and stopped."""
