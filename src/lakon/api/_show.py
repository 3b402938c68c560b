"""What is in the store: rows of tables, one problem with all its traces, a summary of the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lakon.api._plan import plan
from lakon.api._session import StudyLike, check_steps, is_named, open_store, open_study
from lakon.core.errors import InputError, near_miss
from lakon.core.records import RECORDS, Problem, Trace, Verdict
from lakon.outputs import corpus_summary
from lakon.pipeline.build import build_plan
from lakon.store.artifacts import Artifact
from lakon.store.runner import inspect_steps


def show(
    study: StudyLike,
    *,
    table: str = "scores",
    step: str | None = None,
    problem: str | None = None,
    limit: int = 20,
    store: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Rows of a table, from all finished steps of the study or from one; those of one problem if asked."""
    if table not in RECORDS:
        raise InputError(f"no table {table!r}", near_miss(table, RECORDS), "name one of the tables")
    loaded = open_study(study, overrides)
    states = plan(loaded, store=store)
    if step is not None:
        check_steps((step,), states)
    rows: list[dict[str, Any]] = []
    for state in states:
        if state.artifact is None or (step is not None and not is_named(step, state)):
            continue
        for record in state.artifact.read(table, RECORDS[table]):
            row = {"step": state.step.name, **asdict(record)}
            if problem is None or str(row.get("problem_id", row.get("subject", ""))).startswith(problem):
                rows.append(row)
            if len(rows) >= limit:
                return rows
    return rows


def side_by_side(
    study: StudyLike, problem: str, *, store: str | Path | None = None, overrides: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One problem (by the beginning of its id) with every author's first trace and its verdict; where several ids
    begin so, the first of them, and how many there are."""
    loaded = open_study(study, overrides)
    states = [state for state in plan(loaded, store=store) if state.artifact is not None]
    matches: dict[str, Problem] = {}
    verdicts: dict[tuple[str, str], Verdict] = {}
    works: list[tuple[str, Trace]] = []
    for state in states:
        assert state.artifact is not None
        if state.step.stage == "problems":
            rows = state.artifact.read("problems", Problem)
            matches |= {row.problem_id: row for row in rows if row.problem_id.startswith(problem)}
        for verdict in state.artifact.read("verdicts", Verdict):
            if verdict.problem_id.startswith(problem):
                verdicts[state.step.label, verdict.trace_id] = verdict
        for trace in state.artifact.read("traces", Trace):
            if trace.problem_id.startswith(problem) and trace.sample_index == 0:
                works.append((state.step.label, trace))
    if not matches:
        raise InputError(
            f"no problem {problem!r}", "the beginning of a problem's id", "see `lakon show STUDY --table problems`"
        )
    first = next(iter(matches.values()))
    return {
        "problem": asdict(first),
        "matches": len(matches),
        "traces": [
            {"author": label, **asdict(t), "outcome": _outcome(verdicts.get((label, t.trace_id)))}
            for label, t in works
            if t.problem_id == first.problem_id
        ],
    }


def _outcome(verdict: Verdict | None) -> str | None:
    return verdict.outcome if verdict is not None else None


LOOKS = {
    "funnel": corpus_summary.summarise_funnel,
    "lengths": corpus_summary.summarise_lengths,
    "profile": corpus_summary.summarise_teachers,
    "familiarity": corpus_summary.summarise_familiarity,
    "examples": corpus_summary.show_examples,
}
"""What `look` can show of a study."""


def look(
    study: StudyLike,
    view: str,
    *,
    store: str | Path | None = None,
    step: str | None = None,
    limit: int = 20,
    overrides: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """One view of what is in the store so far: `funnel`, `lengths`, `profile`, `familiarity` or `examples`; of one step
    or stage, or of all. Raises `InputError`, also when there is nothing to see yet."""
    if view not in LOOKS:
        raise InputError(f"no view {view!r}", near_miss(view, LOOKS), "name one of the views, or use --table")
    loaded = open_study(study, overrides)
    graph = build_plan(loaded)
    if view == "familiarity" and not graph.familiarity:
        todo = "add a [[students]] table, and leave evaluate.familiarity above 0"
        raise InputError("a study that measures no base", "a student whose base is measured", todo)
    states = inspect_steps(open_store(loaded, store), [graph.report])
    if step is not None:
        check_steps((step,), states)
    artifacts: dict[str, Artifact] = {}
    for state in states:
        is_shown = step is None or is_named(step, state) or (view == "examples" and state.step is graph.problems)
        if is_shown and state.artifact is not None:
            artifacts[state.step.name] = state.artifact
    rows = LOOKS[view](loaded, artifacts)[:limit]
    if not rows:
        whose = f" of {step}" if step else ""
        until = (
            ""
            if view == "examples" and not loaded.arms
            else f" --until {corpus_summary.find_needed_stage(loaded, view)}"
        )
        raise InputError(f"nothing for the view {view!r}{whose}", "steps that are done", f"lakon run STUDY{until}")
    return rows
