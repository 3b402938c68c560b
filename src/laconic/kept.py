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
from laconic.core.spending import NOTHING, Spent
from laconic.stages.calls import is_owed, spent_of, spent_on
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
    spent: Spent = NOTHING
    """What all attempts took, failed ones included."""
    lost: int = 0
    """Of those owed: requests whose record in the ledger failed its checksum."""


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
        spent, gone = spent_on(asked, ledger), ledger.lost()
    answers = tuple(took for note in notes if (took := spent_of(note)).completion)
    return Kept(len(owed), answers, spent, sum(request.key in gone for request in asked))


class _Reader:
    """As much of an endpoint's author as reading its ledger takes: no URL, no key."""

    def __init__(self, opened: bool) -> None:
        self._opened = opened

    def parse(self, payload: Payload) -> Reply:
        return reply_of(payload, opened=self._opened)
