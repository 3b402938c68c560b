"""What a study file may say, everything that can be wrong with one, and the shipped studies."""
