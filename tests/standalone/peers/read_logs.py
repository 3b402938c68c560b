"""What inspect makes of logs that Lakon wrote: `read_logs.py FILE...` prints its figures as JSON.

It runs in the environment of the peers, and scores anew by inspect's own metrics.
"""

from __future__ import annotations

import json
import sys

from inspect_ai.log import read_eval_log, read_eval_log_samples
from inspect_ai.scorer import CORRECT, SampleScore, accuracy, stderr


def main() -> None:
    """Print a figure for each file."""
    figures = []
    for path in sys.argv[1:]:
        log = read_eval_log(path)
        by_id: dict[str, list[SampleScore]] = {}
        for sample in read_eval_log_samples(path):
            score = SampleScore(score=sample.scores["grade"], sample_id=sample.id, sample_metadata=sample.metadata)
            by_id.setdefault(sample.id, []).append(score)
        reduced = []
        for sample_id, scores in by_id.items():
            values = [float(one.score.value == CORRECT) for one in scores]
            whole = scores[0].score.model_copy(update={"value": sum(values) / len(values)})
            metadata = scores[0].sample_metadata
            reduced.append(SampleScore(score=whole, sample_id=sample_id, sample_metadata=metadata))
        clustered = stderr(cluster="cluster")(reduced)
        figures.append(
            {
                "status": log.status,
                "stated": log.results.scores[0].metrics["accuracy"].value,
                "accuracy": accuracy()(reduced),
                "stderr": stderr()(reduced),
                "clustered": clustered,
                "samples": len(log.samples),
            }
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
