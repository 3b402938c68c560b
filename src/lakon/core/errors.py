"""One way to say what went wrong, in three parts: what was found, what was expected, what to do.

`LakonError` is a user's mistake or a broken environment and prints without a traceback; anything else that
escapes is a bug and keeps its traceback. A bad row, a bad reply or an ungradable answer is *data*, never an error.

    LakonError
      StudyError      the study file: carries every fault at once
      InputError      a file or table that the user named
      StoreError      the store: locked, unwritable, an artifact that cannot be read
      AuthorError     a teacher or student that cannot be asked at all
      RunStopped      the run ended early on purpose: interrupted, failing as a whole
        BudgetSpent   the stated budget has no room for another request

All of them survive pickling, because steps run in worker processes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

_LISTED = 12


class Fault(NamedTuple):
    """One thing that is wrong, where it is, and how to mend it."""

    where: str
    found: str
    expected: str
    remedy: str
    level: Literal["fault", "warning"] = "fault"
    """A warning costs single rows and stops nothing."""

    def render(self) -> str:
        """The fault as indented lines for a terminal."""
        head = f"{self.where}: {self.found}" if self.where else self.found
        return f"{head}\n    expected: {self.expected}\n    to do:    {self.remedy}"


class LakonError(Exception):
    """A mistake that its reader can mend; `str()` is the whole message."""

    def __init__(self, found: str, expected: str, remedy: str, *, where: str = "") -> None:
        self.fault = Fault(where, found, expected, remedy)
        super().__init__(found, expected, remedy)
        self.where = where

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.fault))

    def __str__(self) -> str:
        return self.fault.render()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault this error carries (one, except for `StudyError`)."""
        return (self.fault,)


class StudyError(LakonError):
    """Everything that is wrong with a study, all at once."""

    def __init__(self, faults: Sequence[Fault], *, study: str = "") -> None:
        first = faults[0]
        super().__init__(first.found, first.expected, first.remedy, where=first.where)
        self._faults = tuple(faults)
        self.study = study

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_study, (self._faults, self.study))

    def __str__(self) -> str:
        n = len(self._faults)
        head = f"{self.study or 'the study'} has {n} fault{'s' if n != 1 else ''}:"
        return "\n".join([head, *(f"  {i}. {fault.render()}" for i, fault in enumerate(self._faults, 1))])

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults, in the order of the file."""
        return self._faults


class InputError(LakonError):
    """A file or table that the user named cannot be used as it is."""


class StoreError(LakonError):
    """The store cannot be read, written or locked."""


class AuthorError(LakonError):
    """A teacher or student cannot be asked at all (as opposed to one reply going wrong)."""


class RunStopped(LakonError):
    """The run ended early on purpose; everything finished is kept."""


class BudgetSpent(RunStopped):
    """The stated budget has no room for another request; it can be raised, and the run goes on from here."""


def _rebuild(kind: type[LakonError], fault: Fault) -> LakonError:
    return kind(fault.found, fault.expected, fault.remedy, where=fault.where)


def _rebuild_study(faults: Sequence[Fault], study: str) -> StudyError:
    return StudyError(faults, study=study)


def near_miss(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` when a known name is close, else the known names (the first dozen of them)."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"one of: {', '.join(names[:_LISTED])}{more}" if names else "none is defined"
