"""Where the last or the present run of a study stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakon.api._session import StudyLike, open_store, open_study
from lakon.progress.status import last_of_name, read_status, status_path


def status(
    study: StudyLike, *, store: str | Path | None = None, overrides: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Where the last or the present run of a study stands, as its process wrote it down: `what` was run, and which
    steps of the study are `left`. Of a study that was never run as it stands, `of_its_name` is the last run of another
    one of that name, or of this one before it was changed."""
    loaded = open_study(study, overrides)
    place = open_store(loaded, store)
    facts = read_status(status_path(place.root, loaded))
    if facts is None:
        facts = {"study": loaded.name, "state": "never run", "of_its_name": last_of_name(place.root, loaded.name)}
    return {**facts, "store": str(place.root)}
