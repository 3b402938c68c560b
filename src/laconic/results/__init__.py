"""The bodies of the last two steps: scores from verdicts, and the report from everything. Only `plan/` uses them.

Input names are the protocol between the two: `traces:AUTHOR#SEED:BENCHMARK`, `verdicts:...`, `problems:BENCHMARK`,
`examples:ARM@RULE`, `train:AUTHOR#SEED`; a teacher's are `traces:NAME` and `verdicts:NAME`.
"""
