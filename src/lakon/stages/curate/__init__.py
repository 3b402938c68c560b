"""Which traces are trained on: filters, pool, arms, styles, matching."""
