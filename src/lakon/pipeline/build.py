"""Study to steps: the only place that knows stages, domains and adapters at once (with the bodies in `wiring.py`).

Invariant: a step's payload holds what its result depends on and nothing else, so that changing a field of the study
changes exactly the keys that it should. `Run` appears in no payload. The steps up to arms are made in
`corpus_steps.py`, those from arms to the report in `student_steps.py`; `asking.py` says what a run of them would ask.
"""

from __future__ import annotations

from lakon.pipeline.plan import Author, Plan
from lakon.pipeline.resources import Wiring
from lakon.pipeline.steps.corpus_graph import CorpusSteps
from lakon.pipeline.steps.student_graph import StudentSteps
from lakon.store.step import Step
from lakon.study.schema import Study, asking_order

__all__ = ["Author", "Plan", "build"]


def build(study: Study, wiring: Wiring) -> Plan:
    """The steps of a study. Opens nothing but the files whose digests stand in keys."""
    corpus, students = CorpusSteps(study, wiring), StudentSteps(study, wiring)
    rows = corpus.problems("problems", study.problems)
    benchmarks = {name: corpus.problems(name, study.benchmark(name)) for name in study.evaluate.benchmarks}
    source = corpus.decontaminate(rows, benchmarks) if study.is_decontaminated else rows
    teachers: dict[str, tuple[Step, Step]] = {}
    for name in asking_order(study.teachers):
        teachers[name] = corpus.teacher(name, source, teachers)
    teachers = {name: teachers[name] for name in study.teachers}
    screens = {name: corpus.screen(name, *steps) for name, steps in teachers.items()}
    pool = corpus.pool(source, teachers, screens) if study.arms else None
    arms = corpus.arms(source, pool, teachers, screens) if pool is not None else {}
    authors = students.authors(arms, benchmarks)
    scored = students.evaluate(source, benchmarks, teachers, authors)
    final = students.report(rows, benchmarks, screens, pool, arms, authors, scored)
    return Plan(study, source, benchmarks, teachers, screens, pool, arms, authors, scored, final)
