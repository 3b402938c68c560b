"""Trying endpoints on a few problems: what they cost and how they do is measured before all are asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakon.api._run import raise_faults
from lakon.api._session import StudyLike, open_resources, open_store, open_study
from lakon.core.errors import InputError
from lakon.core.records import Outcome, Trace, Verdict
from lakon.pipeline.build import build_plan, pilot_steps
from lakon.pipeline.pending import spent_in
from lakon.pipeline.spent import spent_before
from lakon.progress.interrupts import handle_interrupts
from lakon.progress.status import StatusFile, measure_extent, status_path
from lakon.progress.terminal import Watch
from lakon.store.artifacts import Artifact
from lakon.store.runner import inspect_steps
from lakon.store.runner import run_steps as run_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What one endpoint did in a pilot."""

    teacher: str
    asked: int
    errors: int
    truncated: int
    correct: int
    completion_tokens: int
    """Of all traces together."""
    seconds: float
    """Mean latency of a reply."""


def pilot(
    study: StudyLike,
    problems: int,
    *,
    store: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    quiet: bool = True,
) -> list[Pilot]:
    """Really ask each endpoint so many of the problems (the same random ones), and grade the replies. They stay in the
    ledger, so `bill` extrapolates from them and `run` does not ask them again.

    Raises `InputError` when no teacher is an endpoint, and what `run` raises.
    """
    loaded = open_study(study, overrides)
    place, stop = open_store(loaded, store), threading.Event()
    graph = build_plan(loaded)
    steps = pilot_steps(graph, problems)
    if not steps:
        raise InputError(
            "--pilot, but no teacher of the study is an endpoint", "an endpoint to ask", "leave --pilot out"
        )
    with open_resources(graph, place, stop) as resources:
        raise_faults(loaded, resources, list(steps))
        states = inspect_steps(place, [graph.report])
        resources.count_earlier(spent_before(loaded, spent_in(graph, states), place))
        targets = list(steps.values())
        part = measure_extent(f"pilot of {problems}", targets, states)
        watch = Watch(StatusFile(status_path(place.root, loaded), loaded.name, part), quiet=quiet)
        with handle_interrupts(resources, watch), watch:
            result = run_steps(place, targets, watch, resources=resources, stop=stop)
    return [_pilot(name, result.artifacts[step]) for name, step in steps.items()]


def _pilot(name: str, artifact: Artifact) -> Pilot:
    traces = list(artifact.read("traces", Trace))
    verdicts = list(artifact.read("verdicts", Verdict))
    latencies = [trace.latency_s for trace in traces if trace.latency_s is not None]
    return Pilot(
        teacher=name,
        asked=len(traces),
        errors=sum(trace.error is not None for trace in traces),
        truncated=sum(trace.finish_reason == "length" for trace in traces),
        correct=sum(verdict.outcome == Outcome.CORRECT for verdict in verdicts),
        completion_tokens=sum(trace.completion_tokens or 0 for trace in traces),
        seconds=sum(latencies) / len(latencies) if latencies else 0.0,
    )
