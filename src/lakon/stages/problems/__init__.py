"""From rows to problems: sampling, near-duplicates, decontamination."""
