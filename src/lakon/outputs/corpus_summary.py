"""Summaries of a study's corpus so far: funnel, lengths, profiles, familiarity, examples of what is in the store.

Each summary is a function from the finished steps to rows of plain values; the command line prints them.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lakon.core.records import (
    UNGRADED,
    Example,
    ExampleLengths,
    Exclusion,
    LossBin,
    Outcome,
    ProblemOrigin,
    Profile,
    TraceCounts,
    VerdictOutcome,
)
from lakon.stages.curate.profile import summarise_profiles
from lakon.stages.report.funnel import count_unused_recordings
from lakon.store.artifacts import Artifact
from lakon.store.facts import PoolFacts
from lakon.study.names import OWN, POOL, StepName
from lakon.study.schema import Study

Artifacts = Mapping[str, Artifact]
"""Step name to artifact, for the steps that are done."""
Rows = list[dict[str, Any]]

_EXCERPT = 400
_COUNTED = {
    "problems": "problems", "decontaminate": "problems", "generate": "traces", "screen": "profiles",
    "curate": "examples",
}  # fmt: skip


def find_needed_stage(study: Study, view: str) -> str:
    """The stage after which a view shows all that it can, without a student that is trained."""
    if view == "familiarity":
        return view
    return "screen" if view == "profile" or not study.arms else "curate"


def summarise_funnel(study: Study, artifacts: Artifacts) -> Rows:
    """Rows of every step on the way to examples, what each left out by rule, and what verification said of traces."""
    rows: Rows = []
    for name, artifact in artifacts.items():
        stage, label = StepName.of(name)
        if stage == "verify" and label in study.teachers:
            rows.append({"step": name, **_verified(artifact)})
        of_corpus = label == OWN or label in study.teachers or stage == "curate"
        if stage in _COUNTED and of_corpus:
            excluded = dict(Counter(e.rule for e in artifact.read("exclusions", Exclusion)).most_common())
            n = artifact.manifest.rows.get(_COUNTED[stage])
            if n is None:
                n = PoolFacts.of(artifact.manifest).problems
            if stage == "screen" and (traces := artifacts.get(f"generate/{label}")) is not None:
                n = traces.manifest.rows["traces"] - sum(excluded.values())  # its own rows are profiles, of a sample
            rows.append({"step": name, "rows": n, "left_out": {**_of_recordings(study, label, artifact), **excluded}})
    return rows


def _verified(verdicts: Artifact) -> dict[str, Any]:
    """How many traces came to which outcome; those that say nothing about their author are summed up as well."""
    light = verdicts.read("verdicts", VerdictOutcome)
    counts = Counter(verdict.outcome for verdict in light)
    ungraded = sum(counts[outcome] for outcome in UNGRADED)
    outcomes = {str(outcome): counts[outcome] for outcome in Outcome if counts[outcome]}
    return {"rows": counts.total(), "left_out": {}, "outcomes": outcomes, "ungraded": ungraded}


def _of_recordings(study: Study, label: str, traces: Artifact) -> dict[str, int]:
    teacher = study.teachers.get(label)
    return count_unused_recordings(traces.manifest.facts, teacher.samples) if teacher is not None else {}


def summarise_lengths(study: Study, artifacts: Artifacts) -> Rows:
    """Tokens of every teacher's traces and every arm's examples: mean, quantiles, sum."""
    rows: Rows = []
    for name, artifact in artifacts.items():
        stage, label = StepName.of(name)
        if stage == "generate" and label in study.teachers:
            tokens = [t.n_tokens for t in artifact.read("traces", TraceCounts)]
            rows.append(_lengths(name, tokens))
        elif stage == "curate" and label != POOL:
            light = artifact.read("examples", ExampleLengths)
            rows.append(_lengths(name, [n for e in light for n in [e.n_tokens] * e.repeats]))
    return rows


def _lengths(name: str, tokens: list[int]) -> dict[str, Any]:
    if not tokens:
        return {"step": name, "rows": 0}
    cuts = statistics.quantiles(tokens, n=20, method="inclusive") if len(tokens) > 1 else tokens * 19
    shares = {"p5": cuts[0], "p50": cuts[9], "p95": cuts[18]}
    return {
        "step": name,
        "rows": len(tokens),
        "mean": sum(tokens) / len(tokens),
        **shares,
        "max": max(tokens),
        "sum": sum(tokens),
    }


def summarise_teachers(study: Study, artifacts: Artifacts) -> Rows:
    """The teachers' profiles: mean, low and high of each pattern."""
    rows: Rows = []
    for name in study.teachers:
        artifact = artifacts.get(f"screen/{name}")
        row = (
            summarise_profiles(name, artifact.read("profiles", Profile), study.evaluate.confidence)
            if artifact
            else None
        )
        if row is not None:
            rows.append({"teacher": name, "traces": row.n_traces, **{k: list(v) for k, v in row.means.items()}})
    return rows


def summarise_familiarity(study: Study, artifacts: Artifacts) -> Rows:
    """The loss of every base on each teacher's traces: over all tokens, its tail, and by position in the trace."""
    del study
    rows: Rows = []
    for name, artifact in artifacts.items():
        if StepName.of(name).stage != "familiarity":
            continue
        bins = list(artifact.read("familiarity", LossBin))
        for whole in (row for row in bins if row.scale == "all"):
            by_position = {
                f"from {row.start + 1}:": round(row.loss, 3)
                for row in bins
                if (row.teacher, row.scale) == (whole.teacher, "tokens")
            }
            tail = {"median": whole.median, "q90": whole.q90, "q99": whole.q99, "surprising": whole.surprising}
            counts = {"tokens": whole.n_tokens, "traces": whole.n_traces}
            losses = {"loss": whole.loss, **tail, "by_position": by_position}
            rows.append({"step": name, "teacher": whole.teacher, **losses, **counts})
    return rows


def show_examples(study: Study, artifacts: Artifacts) -> Rows:
    """The first example of every arm, cut to what a terminal can hold, with the row that its problem was read from and
    the fields that are kept of it."""
    arms = {name: step for name, step in artifacts.items() if _is_arm(StepName.of(name))}
    firsts = {name: first for name, step in arms.items() if (first := next(step.read("examples", Example), None))}
    problems = _problems(artifacts, {first.problem_id for first in firsts.values()})
    rows: Rows = []
    for name, first in firsts.items():
        problem = problems[first.problem_id]
        about = {"source": problem.source, "tags": ", ".join(problem.tags)}
        texts = {"system": first.system, "prompt": _cut(first.prompt), "completion": _cut(first.completion)}
        rows.append({"step": name, "teacher": first.teacher, "tokens": first.n_tokens, **about, **texts})
    return rows


def _is_arm(name: StepName) -> bool:
    return name.stage == "curate" and name.label != POOL


def _problems(artifacts: Artifacts, ids: set[str]) -> dict[str, ProblemOrigin]:
    table = artifacts.get("decontaminate/problems") or artifacts.get("problems/problems")
    assert table is not None or not ids, "examples are made of problems"
    rows = table.read("problems", ProblemOrigin) if table is not None and ids else ()
    return {problem.problem_id: problem for problem in rows if problem.problem_id in ids}


def _cut(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]} ... ({len(text) - _EXCERPT:,} more characters)"
