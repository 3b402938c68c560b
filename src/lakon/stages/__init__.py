"""The seven stages, in order: problems, generate, verify, curate, train, evaluate, report.

Each file holds its spec on top and one public function from tables to tables. Stages receive authors, verifiers,
trainers and engines as arguments typed in `core.protocols`.
"""
