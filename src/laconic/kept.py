"""What ledgers hold of a study's teachers: how much is answered, what it took, and what is still owed.

Nothing is asked and nothing is locked: a plan can be made while a run is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laconic.adapters.openai_replies import reply_of
from laconic.core.digest import digest
from laconic.core.protocols import Payload, Reply
from laconic.core.records import Problem
from laconic.core.spending import Spent
from laconic.stages.calls import is_owed, spent_of, spent_on_keys
from laconic.stages.generate import EndpointTeacher, requests
from laconic.store.artifacts import Store
from laconic.store.ledger import Ledger
from laconic.study import Study


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the ledger of one teacher for a study's problems."""

    owed: int
    """Requests that a run would ask."""
    answers: tuple[Spent, ...]
    """What each answered request took."""


def kept(study: Study, name: str, store: Store, problems: Sequence[Problem]) -> Kept:
    """What an endpoint's ledger holds for these problems; everything is owed when there is no ledger yet."""
    teacher = study.teachers[name]
    assert isinstance(teacher, EndpointTeacher)
    who = teacher.identity()
    asked = requests(problems, who, template=teacher.prompt, sampling=teacher.sampling, samples=teacher.samples)
    path = store.ledger_path(name, digest(who))
    if not path.exists():
        return Kept(len(asked), ())
    reader = _Reader(teacher.opened)
    with Ledger.open(path, create=False, readonly=True) as ledger:
        owed = [request for request in asked if is_owed(request, reader, ledger)]
        notes = [note for request in asked if (note := ledger.note(request.key)) is not None]
    return Kept(len(owed), tuple(spent for note in notes if (spent := spent_of(note)).completion))


def spent_in_ledger(study: Study, name: str, store: Store) -> Spent:
    """What all calls in the ledger of an endpoint took, those of runs that were interrupted or pilots included."""
    path = store.ledger_path(name, digest(study.served[name].identity()))
    if not path.exists():
        return Spent()
    with Ledger.open(path, create=False, readonly=True) as ledger:
        return spent_on_keys(ledger.keys(), ledger)


class _Reader:
    """As much of an endpoint's author as reading its ledger takes: no URL, no key."""

    def __init__(self, opened: bool) -> None:
        self._opened = opened

    def parse(self, payload: Payload) -> Reply:
        return reply_of(payload, opened=self._opened)
