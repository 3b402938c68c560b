"""Making room in a store, without losing anything that was paid for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakon.api._plan import plan
from lakon.api._session import StudyLike, open_store, open_study
from lakon.core.errors import InputError
from lakon.store.artifacts import Store, remove_artifact
from lakon.store.ledger.ledger import Ledger
from lakon.store.runner import hold_store


def gc(*, store: str | Path | None = None, keep: tuple[StudyLike, ...] = (), dry_run: bool = False) -> dict[str, Any]:
    """Remove what interrupted steps left behind and compact ledgers; with `keep`, also every artifact that those
    studies do not use. What a step made that is missing now stays: it may be used again once its inputs are there.

    Nothing paid for is removed: ledgers keep the newest response of every call. Raises `StoreError` during a run.
    """
    place = _store_of(keep, store)
    if not (place.root / "run.lock").is_file():
        raise InputError(f"no store at {str(place.root)!r}", "a store that a run has made", "check --store")
    with hold_store(place):
        torn = list(place.list_torn())
        unused = list(_unused(place, keep)) if keep else []
        freed = sum(_size(folder) for folder in [*torn, *unused])
        if not dry_run:
            for folder in [*torn, *unused]:
                remove_artifact(folder)
            freed += sum(_compact(path) for path in sorted((place.root / "ledger").glob("*.ledger")))
    return {
        "torn": _relative_names(torn, place.root),
        "unused": _relative_names(unused, place.root),
        "bytes": freed,
        "dry_run": dry_run,
    }


def _relative_names(paths: list[Path], root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def _store_of(keep: tuple[StudyLike, ...], store: str | Path | None) -> Store:
    """The one store of the studies to keep. Raises `InputError` when they name different ones."""
    places = {open_store(open_study(study), store).root for study in keep} or {open_store(None, store).root}
    if len(places) > 1:
        raise InputError(
            f"studies in different stores: {', '.join(map(str, sorted(places)))}", "one store", "name it with --store"
        )
    return Store(places.pop())


def _unused(store: Store, keep: tuple[StudyLike, ...]) -> Iterator[Path]:
    states = [state for study in keep for state in plan(study, store=store.root)]
    used = {state.artifact.folder for state in states if state.artifact is not None}
    # A step that waits for another has no key yet: what it made earlier may be what it is going to need.
    unknown = {(state.step.stage, state.step.label) for state in states if state.artifact is None}
    for artifact in store.list_artifacts():
        named = (artifact.manifest.stage, artifact.manifest.label)
        if artifact.folder not in used and named not in unknown:
            yield artifact.folder
    # Unfinished work is for a step that is missing; of a step that waits the key is not known yet.
    needed = {store.work_folder(state.step.stage, state.key) for state in states if state.key is not None}
    stages = {state.step.stage for state in states if state.key is None}
    for folder in store.list_work():
        if folder not in needed and folder.suffix[1:] not in stages:
            yield folder


def _compact(path: Path) -> int:
    before = path.stat().st_size
    with Ledger.open(path) as ledger:
        ledger.compact()
    return max(0, before - path.stat().st_size)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
