"""Results written by lm-eval and inspect themselves, with models that answer from a table: `make_files.py FOLDER [N]`
writes them for the first N problems.

It runs in the environment of the peers (`make peers`), which has no Lakon in it. The answers are drawn by a seed, so
that every version of a tool has the same figures to write. `figures.json` holds what inspect makes of them.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

N = int(sys.argv[2]) if len(sys.argv) > 2 else 24
PROBLEMS = [
    (f"A box holds {a} red and {b} blue marbles. How many marbles are in {c} such boxes?", str((a + b) * c))
    for a, b, c in ((i + 2, 3 * i % 7 + 1, i % 5 + 2) for i in range(N))
]
EPOCHS = 4 if N > 10 else 2
RATES = {"careful": 0.75, "hasty": 0.45}


def write_answers(author: str) -> list[list[str]]:
    """The responses of an author: one list a problem, one response an epoch."""
    draw = random.Random(author)
    answers: list[list[str]] = []
    for i, (_, target) in enumerate(PROBLEMS):
        rate = RATES[author] * (1.3 if i % 3 else 0.4)
        numbers = [int(target) + (0 if draw.random() < rate else draw.randint(1, 9)) for _ in range(EPOCHS)]
        answers.append([f"So the answer is {number}" for number in numbers])
    return answers


def write_inspect(folder: Path, author: str) -> dict[str, float]:
    """An `.eval` log, the same as JSON, and the figures that inspect makes of it."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.log import read_eval_log, write_eval_log
    from inspect_ai.model import ModelOutput, get_model
    from inspect_ai.scorer import accuracy, match, scorer, stderr
    from inspect_ai.solver import generate

    answers = write_answers(author)
    samples = [
        Sample(id=f"box-{i}", input=text, target=target, metadata={"family": f"f{i // 2}", "row": i})
        for i, (text, target) in enumerate(PROBLEMS)
    ]
    places = {text: i for i, (text, _) in enumerate(PROBLEMS)}
    asked = dict.fromkeys(places, 0)

    def reply(messages, *_):
        text = messages[-1].text
        number = asked[text]
        asked[text] += 1
        output = ModelOutput.from_content("mockllm/model", answers[places[text]][number])
        output.usage = __import__("inspect_ai.model", fromlist=["ModelUsage"]).ModelUsage(
            input_tokens=20, output_tokens=40 + 3 * places[text] + number, total_tokens=60 + 3 * places[text] + number
        )
        return output

    @scorer(metrics=[accuracy(), stderr(cluster="family")], name="numbers")
    def numbers():
        return match(numeric=True)

    model = get_model("mockllm/model", custom_outputs=reply)
    (log,) = eval(
        Task(dataset=MemoryDataset(samples), solver=generate(), scorer=numbers(), name="marbles"),
        model=model,
        epochs=EPOCHS,
        max_samples=1,
        log_dir=str(folder / "logs"),
        display="none",
    )
    path = folder / f"inspect_{author}.eval"
    Path(log.location.removeprefix("file://")).replace(path)
    write_eval_log(read_eval_log(str(path)), str(folder / f"inspect_{author}.json"))
    return {name: metric.value for name, metric in log.results.scores[0].metrics.items()}


TASK = """\
task: marbles
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
repeats: {repeats}
generation_kwargs: {{until: ["\\n"], do_sample: false}}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
filter_list:
  - name: last-number
    filter:
      - {{function: regex, regex_pattern: "(-?[0-9]+)", group_select: -1}}
      - {{function: take_first}}
  - name: whole
    filter:
      - {{function: take_first}}
"""


def write_lm_eval(folder: Path, author: str) -> dict[str, float]:
    """A folder with `results_*.json` and `samples_*.jsonl`."""
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    answers = write_answers(author)
    places = {text: i for i, (text, _) in enumerate(PROBLEMS)}

    class Table(LM):
        def generate_until(self, requests, disable_tqdm=False):
            asked = dict.fromkeys(places, 0)
            replies = []
            for request in requests:
                text = request.args[0].removeprefix("Question: ").removesuffix("\nAnswer:")
                replies.append(answers[places[text]][asked[text]])
                asked[text] += 1
            return replies

        def loglikelihood(self, requests, disable_tqdm=False):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    data = folder / "marbles.jsonl"
    data.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in PROBLEMS))
    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    (tasks / "marbles.yaml").write_text(TASK.format(data=data, repeats=EPOCHS))
    tracker = EvaluationTracker(output_path=str(folder / f"lm_eval_{author}"))
    results = lm_eval.simple_evaluate(
        model=Table(), tasks=["marbles"], task_manager=TaskManager(include_path=str(tasks)), log_samples=True,
        bootstrap_iters=0, evaluation_tracker=tracker,
    )  # fmt: skip
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, rows in samples.items():
        tracker.save_results_samples(task_name=task, samples=rows)
    return {name: value for name, value in results["results"]["marbles"].items() if isinstance(value, float)}


def main() -> None:
    """Write the files of both tools for both authors."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    for author in RATES:
        figures[f"inspect_{author}"] = write_inspect(folder, author)
        figures[f"lm_eval_{author}"] = write_lm_eval(folder, author)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
