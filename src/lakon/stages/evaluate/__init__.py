"""From graded traces to scores."""
