"""Why a step would run again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lakon.api._plan import plan
from lakon.api._session import StudyLike, check_steps, is_named, open_store, open_study
from lakon.outputs.explain import Explanation, list_reasons


def explain(
    study: StudyLike,
    *,
    store: str | Path | None = None,
    step: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> list[Explanation]:
    """Field by field, why each step would run again: against the nearest artifact of the same stage and label."""
    loaded = open_study(study, overrides)
    place = open_store(loaded, store)
    states = plan(loaded, store=store)
    if step is not None:
        check_steps((step,), states)
        states = [state for state in states if is_named(step, state)]
    earlier = list(place.list_artifacts())
    return [Explanation(s.step.name, s.state, tuple(list_reasons(s, earlier))) for s in states]
