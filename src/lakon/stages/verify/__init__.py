"""From traces to verdicts: rules, judge, human rulings."""
