"""The first steps from a file to their tables: what they write, and that nothing else is left in the artifact."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from lakon.core.records import Exclusion, Problem
from lakon.pipeline.places import Places
from lakon.pipeline.resources import RunResources
from lakon.pipeline.steps.problems import decontaminate_step, read_step
from lakon.stages.problems.sources import JsonlProblems
from lakon.store.artifacts import Artifact, Store
from lakon.store.runner import run_steps
from lakon.store.step import AnyStep
from lakon.study.schema import Run, Study

BAKER = (
    "A baker sells 3 of his 48 rolls before noon. In the afternoon a school orders twice as many rolls as are left "
    "over. How many rolls must he still bake to fill the order of the school?"
)
STUDY = """
name = "first-steps"
problems = {kind = "jsonl", path = "problems.jsonl"}
teachers.any = {kind = "recorded", path = "traces.jsonl", text_field = "text"}
benchmarks.own = {kind = "jsonl", path = "bench.jsonl"}
evaluate.benchmarks = ["own"]
"""


class Silent:
    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None: ...

    def show(self, **figures: float) -> None: ...


class Quiet:
    """A watcher that says nothing."""

    def progress(self, step: AnyStep) -> Silent:
        return Silent()

    def started(self, step: AnyStep) -> None: ...

    def finished(self, step: AnyStep, artifact: Artifact, *, cached: bool, seconds: float) -> None: ...

    def failed(self, step: AnyStep, error: BaseException) -> None: ...

    def retry_skipped(self, step: str, why: str) -> None: ...


def artifacts_of(store: Store, places: Places, *steps: AnyStep) -> list[Artifact]:
    """What the steps make, in a run that shares nothing but where files lie."""
    resources = RunResources(Run(), places, store)
    try:
        result = run_steps(store, list(steps), Quiet(), resources=resources)
    finally:
        resources.close()
    return [result.artifacts[step] for step in steps]


def source(path: Path, *texts: str, count: int | None = None) -> JsonlProblems:
    lines = (json.dumps({"problem": text, "answer": str(n)}) for n, text in enumerate(texts))
    path.write_text("\n".join(lines), encoding="utf-8")
    return JsonlProblems(path=str(path), count=count)


def test_the_tables_of_the_first_steps_hold_groups_and_exclusions_and_their_folders_nothing_else(tmp_path: Path):
    store = Store(tmp_path / "store")
    texts = ["What is 3 + 4?", BAKER, " ", BAKER.replace("48", "96"), "Name a prime below 10.", "What is 5 + 2?"]
    places, spec = Places(), Study.model_validate(tomllib.loads(STUDY)).decontaminate
    first = read_step("problems", source(tmp_path / "problems.jsonl", *texts), 0, places)
    own = read_step("own", source(tmp_path / "bench.jsonl", "(a) Name a prime below 10."), 0, places)
    problems, bench, clean = artifacts_of(store, places, first, own, decontaminate_step(spec, first, {"own": own}))
    rows = list(problems.read("problems", Problem))
    assert [row.prompt for row in rows] == [text for text in texts if text.strip()]
    assert [row.duplicate_group for row in rows] == [None, rows[1].problem_id, rows[1].problem_id, None, None]
    assert [left.rule for left in problems.read("exclusions", Exclusion)] == ["empty_prompt"]
    assert problems.manifest.facts == {"rows_read": 6}

    assert list(clean.read("problems", Problem)) == [*rows[:3], rows[4]]
    (left,) = clean.read("exclusions", Exclusion)
    assert (left.subject, left.rule) == (rows[3].problem_id, "contaminated")

    for artifact in (problems, bench, clean):
        assert sorted(path.name for path in artifact.folder.iterdir()) == [
            "exclusions-00000.parquet",
            "manifest.json",
            "problems-00000.parquet",
        ]


def test_a_sample_keeps_its_near_duplicates_together(tmp_path: Path):
    texts = [BAKER.replace("48", str(40 + n)) for n in range(30)]
    places = Places()
    step = read_step("sample", source(tmp_path / "problems.jsonl", *texts, count=7), 3, places)
    (problems,) = artifacts_of(Store(tmp_path / "store"), places, step)
    rows = list(problems.read("problems", Problem))
    assert {row.duplicate_group for row in rows} == {rows[0].problem_id}
    assert [int(row.reference) for row in rows] == sorted(int(row.reference) for row in rows)
    assert problems.manifest.rows == {"exclusions": 23, "problems": 7}
