"""Why a step is in the store or would run again, field by field: against the newest artifact of its stage and label."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lakon.stages.verify.changed_verdicts import changes_from_facts
from lakon.store.artifacts import Artifact
from lakon.store.facts import RetryFacts
from lakon.store.runner import StepState


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a step is cached or would run."""

    step: str
    state: str
    reasons: tuple[str, ...]


def list_reasons(state: StepState, earlier: list[Artifact]) -> Iterator[str]:
    """Where the step lies and which verdicts changed in it; or else what is not as it was in the nearest artifact."""
    step = state.step
    if state.artifact is not None:
        yield f"in the store as {step.stage}/{state.artifact.folder.name}"
        if state.state == "owed":
            yield f"rows that failed and are asked again: {RetryFacts.of(state.artifact.manifest).owed}"
        changes = changes_from_facts(step.label, state.artifact.manifest.facts)
        if changes is not None:
            total = sum(changes.counts.values())
            yield f"{total} verdict{'s' if total != 1 else ''} changed since {changes.since}" + "".join(
                f"; {k}: {n}" for k, n in changes.counts.items()
            )
            yield from (
                f"  trace {m.trace_id[:12]}: {m.before} ({m.method_before}) then, {m.after} ({m.method_after}) now"
                for m in changes.listed
            )
        return
    if state.state == "waiting":
        names = [source.name for source in step.sources.values()]
        yield f"waits for {', '.join(dict.fromkeys(names[:3]))}{' ...' if len(names) > 3 else ''}"
    near = [a for a in earlier if (a.manifest.stage, a.manifest.label) == (step.stage, step.label)]
    if not near:
        yield "has never been run in this store"
        return
    last = max(near, key=lambda a: (a.folder / "manifest.json").stat().st_mtime)
    if last.manifest.version != step.version:
        yield f"stage version: {last.manifest.version} then, {step.version} now"
    yield from _differences(last.manifest.payload, step.payload)
    changed_inputs = set(last.manifest.inputs) ^ set(step.sources)
    if changed_inputs:
        yield f"inputs: {', '.join(sorted(changed_inputs))}"
    elif state.state == "missing" and step.key(last.manifest.inputs) != state.key:
        yield "the content of its inputs changed"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name in sorted({*old, *new}):
        a, b = old.get(name, "the default"), new.get(name, "the default")
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{prefix}{name}.")
        elif json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
            yield f"{prefix}{name}: {_short(a)} then, {_short(b)} now"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
