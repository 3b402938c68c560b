"""Handing a study's arms on: a folder or a repository on the hub that other trainers read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lakon.api._session import StudyLike, open_store, open_study
from lakon.core.errors import InputError
from lakon.outputs.corpus_summary import summarise_funnel
from lakon.outputs.dataset import HUB, ExportSummary, upload_export
from lakon.outputs.dataset import write as write_export
from lakon.pipeline.build import build_plan
from lakon.store.runner import inspect_steps


def export(
    study: StudyLike,
    to: str | Path,
    *,
    store: str | Path | None = None,
    public: bool = False,
    overrides: Mapping[str, str] | None = None,
) -> ExportSummary:
    """Every arm as Parquet in the conversational layout, with a card, in a new folder or at `hf://user/name` (private
    unless `public`). Raises `InputError` when arms are not built yet."""
    loaded = open_study(study, overrides)
    graph = build_plan(loaded)
    states = {state.step: state for state in inspect_steps(open_store(loaded, store), [graph.report])}
    arms = {matched.folder: states[step] for matched, step in graph.arms.items()}
    missing = [name for name, state in arms.items() if state.artifact is None]
    if missing:
        raise InputError(f"{', '.join(missing)}: not built", "every arm in the store", "lakon run STUDY")
    built = {name: state.artifact for name, state in arms.items() if state.artifact is not None}
    finished = {state.step.name: state.artifact for state in states.values() if state.artifact is not None}
    problems = states[graph.problems].artifact
    assert problems is not None, "arms are made of it, and are there"
    funnel, name = summarise_funnel(loaded, finished), str(to)
    if not name.startswith(HUB):
        return write_export(loaded, built, problems, funnel, Path(to))
    with tempfile.TemporaryDirectory() as folder:
        summary = write_export(loaded, built, problems, funnel, Path(folder))
        upload_export(Path(folder), name.removeprefix(HUB), public=public)
    return replace(summary, place=name)
