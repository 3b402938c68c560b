"""What makes a run survive: tables, artifacts, the ledger, steps and the runner. Knows no stage and no domain."""
