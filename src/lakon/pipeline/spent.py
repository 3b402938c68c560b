"""What ledgers hold of a study's teachers: how much is answered, what it took, and what is still owed.

Nothing is asked and nothing is locked: a plan can be made while a run is under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakon.backends.endpoint.replies import reply_of
from lakon.core.digest import digest
from lakon.core.protocols import Payload, Reply
from lakon.core.records import Problem, TraceCounts
from lakon.core.spending import NOTHING, Spent
from lakon.stages.generate.call_note import CallNote
from lakon.stages.generate.call_state import is_owed, sum_spent_of_keys
from lakon.stages.generate.requests import list_requests
from lakon.stages.generate.specs import EndpointTeacher
from lakon.store.artifacts import AnyStore, Artifact
from lakon.store.facts import JudgedFacts
from lakon.store.ledger.ledger import Ledger
from lakon.study.schema import JUDGE, Study


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What is in the ledger of one teacher for a study's problems."""

    owed: int
    """Requests that a run would ask."""
    answers: tuple[Spent, ...]
    """What each answered request took."""
    lost: int = 0
    """Of those owed: requests whose record in the ledger is damaged."""


def read_ledger_state(name: str, teacher: EndpointTeacher, store: AnyStore, problems: Sequence[Problem]) -> LedgerState:
    """What an endpoint's ledger holds for these problems; everything is owed when there is no ledger yet."""
    who = teacher.identity()
    requests = list_requests(
        problems,
        who,
        template=teacher.template,
        sampling=teacher.draws,
        samples=teacher.samples,
        system=teacher.system_message,
    )
    path = store.ledger_path(name, digest(who))
    if not path.exists():
        return LedgerState(len(requests), ())
    reader = _Reader(teacher.prefills_think)
    with Ledger.open(path, create=False, readonly=True) as ledger:
        owed = [request for request in requests if is_owed(request, reader, ledger)]
        notes = [note for request in requests if (note := ledger.note(request.key)) is not None]
        lost = ledger.lost_among([request.key for request in requests])
    answers = tuple(took for note in notes if (took := CallNote.unpack(note).spent).completion)
    return LedgerState(len(owed), answers, lost)


def spent_before(study: Study, finished: Mapping[str, Spent], store: AnyStore) -> dict[str, Spent]:
    """What each endpoint took so far: all that its ledger tells of, pilots and interrupted runs included, or what its
    `finished` step says where the ledger is gone."""
    spent: dict[str, Spent] = {}
    for name, who in study.served.items():
        in_ledger, in_step = _in_ledger(store.ledger_path(name, digest(who.identity()))), finished.get(name, NOTHING)
        spent[name] = Spent(max(in_ledger.prompt, in_step.prompt), max(in_ledger.completion, in_step.completion))
    return spent


def count_missing_replies(study: Study, name: str, tables: Sequence[Artifact], store: AnyStore) -> int:
    """How many of the replies behind `tables` are not in an endpoint's ledger, so that they would be asked again: of a
    teacher's traces by their keys, of verdicts whether the judge's ledger holds anything."""
    path = store.ledger_path(name, digest(study.served[name].identity()))
    keys = set[str]()
    if path.exists():
        with Ledger.open(path, create=False, readonly=True) as ledger:
            keys.update(ledger.keys())
    if name == JUDGE:
        return 0 if keys else sum(JudgedFacts.of(each.manifest).asked or 0 for each in tables)
    traces = (trace for each in tables for trace in each.read("traces", TraceCounts))
    return sum(trace.error is None and trace.trace_id not in keys for trace in traces)


def _in_ledger(path: Path) -> Spent:
    if not path.exists():
        return NOTHING
    with Ledger.open(path, create=False, readonly=True) as ledger:
        return sum_spent_of_keys((*ledger.keys(), *ledger.lost_keys()), ledger)


class _Reader:
    """As much of an endpoint's author as reading its ledger takes: no URL, no key."""

    def __init__(self, prefills_think: bool) -> None:
        self._prefills_think = prefills_think

    def parse(self, payload: Payload) -> Reply:
        return reply_of(payload, prefills_think=self._prefills_think)
