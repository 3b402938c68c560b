"""Lakon runs reasoning-trace studies: same answers, a quarter of the tokens.

`import lakon` is quick: names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lakon.api import check, explain, gc, report, run, show, status
    from lakon.core.errors import LakonError, StudyError
    from lakon.core.records import Example, Exclusion, Outcome, Problem, Score, Trace, Verdict
    from lakon.study.load import load_study
    from lakon.study.schema import Study

_HOMES = {
    **dict.fromkeys(("check", "explain", "gc", "report", "run", "show", "status"), "lakon.api"),
    **dict.fromkeys(("LakonError", "StudyError"), "lakon.core.errors"),
    **dict.fromkeys(("Example", "Exclusion", "Outcome", "Problem", "Score", "Trace", "Verdict"), "lakon.core.records"),
    "Study": "lakon.study.schema",
    "load_study": "lakon.study.load",
}

__all__ = [
    "Example",
    "Exclusion",
    "LakonError",
    "Outcome",
    "Problem",
    "Score",
    "Study",
    "StudyError",
    "Trace",
    "Verdict",
    "check",
    "explain",
    "gc",
    "load_study",
    "report",
    "run",
    "show",
    "status",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lakon' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
