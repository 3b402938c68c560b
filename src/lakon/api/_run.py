"""Executing what is missing of a study, and putting its report where people look."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lakon.api._plan import plan
from lakon.api._session import StudyLike, check_steps, is_named, open_resources, open_store, open_study
from lakon.core.errors import InputError, StudyError
from lakon.outputs.run_notes import run_notes
from lakon.pipeline.build import build_plan
from lakon.pipeline.pending import list_endpoints, spent_in, steps_not_retried
from lakon.pipeline.resources import RunResources
from lakon.pipeline.spent import spent_before
from lakon.progress.interrupts import handle_interrupts
from lakon.progress.status import StatusFile, measure_extent, status_path
from lakon.progress.terminal import Watch
from lakon.store.artifacts import Store
from lakon.store.runner import Mode, RunResult, StepState, inspect_steps
from lakon.store.runner import run_steps as run_steps
from lakon.store.step import AnyStep
from lakon.study.consistency import run_faults
from lakon.study.schema import Study


@dataclass(slots=True)
class RunSummary:
    """What a run did and where its report lies."""

    study: str
    report: Path | None
    """None for a run that was to end before the report."""
    executed: list[str]
    steps: int
    seconds: float
    store: Path
    summary: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    """Rows that failed, records that were damaged: what the next run will ask again."""


def run(
    study: StudyLike,
    *,
    store: str | Path | None = None,
    mode: Mode = "cached",
    steps: tuple[str, ...] = (),
    until: str | None = None,
    overrides: Mapping[str, str] | None = None,
    reports: str | Path = "reports",
    quiet: bool = True,
) -> RunSummary:
    """Run what is missing and put the report at `reports/<study>/`; with `until`, only that step or stage and what it
    stands on (`curate`: the corpus, without a student).

    Raises `StudyError` before anything starts, `RunStopped` when interrupted, and the first failing step's error.
    """
    loaded = open_study(study, overrides)
    place = open_store(loaded, store)
    if steps and mode != "force":
        found = f"--step {' --step '.join(steps)} with --mode {mode}, which runs every missing step anyway"
        todo = f"add --mode force to execute it again, or end there with --until {steps[0]}"
        raise InputError(found, "--mode force, which --step narrows", todo)
    stop = threading.Event()
    graph = build_plan(loaded)
    with open_resources(graph, place, stop) as resources:
        states = whole = inspect_steps(place, [graph.report])
        check_steps(steps, states)
        targets = [graph.report]
        if until is not None:
            check_steps((until,), states)
            targets = [state.step for state in states if is_named(until, state)]
            states = inspect_steps(place, targets)
            _check_reached(steps, until, states)
        if mode == "cached" and all(state.state == "cached" for state in states):
            result = RunResult({state.step: state.artifact for state in states if state.artifact is not None})
            return _summary(loaded, result, graph.report, len(states), place, Path(reports))
        raise_faults(loaded, resources, list_endpoints(graph, states, place, mode, frozenset(steps)))
        resources.count_earlier(spent_before(loaded, spent_in(graph, states), place))
        part = measure_extent(_asked_for(mode, steps, until), targets, whole)
        watch = Watch(StatusFile(status_path(place.root, loaded), loaded.name, part), quiet=quiet)
        not_retried = steps_not_retried(graph, states, resources, place) if mode == "cached" else {}
        with handle_interrupts(resources, watch), watch:
            for step, why in not_retried.items():
                watch.retry_skipped(step, why)
            result = run_steps(
                place,
                targets,
                watch,
                resources=resources,
                mode=mode,
                forced=frozenset(steps),
                skip_retry=frozenset(not_retried),
                stop=stop,
            )
    return _summary(loaded, result, graph.report, len(states), place, Path(reports))


def _check_reached(steps: tuple[str, ...], until: str, states: list[StepState]) -> None:
    """Raise `InputError` for a step to execute again that a run which ends at `until` does not come to."""
    for step in steps:
        if not any(is_named(step, state) for state in states):
            stages = ", ".join(dict.fromkeys(state.step.stage for state in states))
            raise InputError(
                f"--step {step} with --until {until}, which ends without it",
                f"a step of these stages: {stages}",
                f"leave out one of the two, or end there with --until {step}",
            )


def _asked_for(mode: Mode, steps: tuple[str, ...], until: str | None) -> str:
    """A run as the command line would ask for it."""
    options = [*([f"--mode {mode}"] if mode != "cached" else []), *(f"--step {step}" for step in steps)]
    return " ".join(["run", *options, *([f"--until {until}"] if until is not None else [])])


def raise_faults(study: Study, resources: RunResources, asking: list[str]) -> None:
    """Raise `StudyError` with all that stands in the way of running, the endpoints' own faults included."""
    faults = run_faults(study) or resources.endpoint_faults(study.served, asking)
    if faults:
        raise StudyError(faults, study=study.name)


def _summary(study: Study, result: RunResult, last: AnyStep, steps: int, place: Store, reports: Path) -> RunSummary:
    artifact = result.artifacts.get(last)
    summary = RunSummary(study.name, None, result.executed, steps, result.seconds, place.root, notes=run_notes(result))
    if artifact is None:
        return summary
    folder = reports / study.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in artifact.manifest.files:
            shutil.copyfile(artifact.folder / entry.path, folder / entry.path)
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror}",
            "a folder for the report that can be written",
            f"choose another with --reports; the report itself is {artifact.folder}",
        ) from error
    lines = (artifact.folder / "summary.txt").read_text(encoding="utf-8").splitlines()
    return replace(summary, report=folder / "report.html", summary=lines)


def report(
    study: StudyLike,
    *,
    store: str | Path | None = None,
    reports: str | Path = "reports",
    overrides: Mapping[str, str] | None = None,
) -> RunSummary:
    """Put the report of a finished study at `reports/<study>/`, drawing it anew if only that is missing.

    Raises `InputError` when other steps are missing.
    """
    loaded = open_study(study, overrides)
    place = open_store(loaded, store)
    states = plan(loaded, store=store)
    missing = [state.step.name for state in states[:-1] if state.artifact is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(states)} steps are not done, {missing[0]} first",
            "a finished study",
            "lakon run STUDY",
        )
    if (last := states[-1]).artifact is None:
        return run(loaded, store=store, reports=reports)
    result = RunResult({state.step: state.artifact for state in states if state.artifact is not None})
    return _summary(loaded, result, last.step, len(states), place, Path(reports))
