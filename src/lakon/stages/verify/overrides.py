"""Human rulings: lines of a file that win over every method, each with who ruled and why.

Invariant: a ruling that cannot be read is a fault of the study, found before anything runs; none is skipped in silence,
and one that nothing in the study matches is told of in the report.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from lakon.core.errors import Fault, StudyError, near_miss
from lakon.core.protocols import Grading
from lakon.core.records import AnsweredTrace, Outcome, Problem
from lakon.core.report_data import RulingUse

METHOD = "override"
"""The method of a verdict that a person made."""
ACCOUNT = "rulings.json"
"""The file of a verdict table that says how often each ruling was used in it."""
BEGINNING = 12
"""Characters of a trace's id that a report shows; a ruling gives so many or more."""
_PAIR = ("reference", "answer")
_FIELDS = ("trace_id", *_PAIR, "outcome", "who", "why")
_REMEDY = 'write {"trace_id": "...", "outcome": "correct", "who": "...", "why": "..."}, or reference and answer'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a person decided."""

    line: int
    about: str
    """The beginning of a trace's id, or an answer and a reference in words."""
    outcome: Outcome
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """Rulings by what they are about: one trace, or every answer of these words to this reference."""

    traces: Mapping[str, Ruling]
    """By the first characters of the trace's id."""
    pairs: Mapping[tuple[str, str], Ruling]
    used: Counter[int] = field(default_factory=Counter[int])
    """Line of a ruling to how many verdicts it has made so far."""

    def apply(self, trace: AnsweredTrace, problem: Problem, grading: Grading) -> Grading:
        """The grading, or the ruling in its stead. A ruling about the trace itself comes before one about its words."""
        ruling = self._by_id(trace.trace_id) or self._by_words(problem.reference, trace.answer, grading.extracted)
        if ruling is None:
            return grading
        self.used[ruling.line] += 1
        said = f"the rules said {grading.outcome} by {grading.method}"
        return Grading(
            outcome=ruling.outcome,
            extracted=grading.extracted,
            method=METHOD,
            explanation=f"{ruling.who}: {ruling.why} ({said})",
        )

    def account(self) -> str:
        """Every ruling and how many verdicts it has made, as JSON."""
        rulings = sorted((*self.traces.values(), *self.pairs.values()), key=lambda ruling: ruling.line)
        return json.dumps([asdict(_use(ruling, self.used[ruling.line])) for ruling in rulings], ensure_ascii=False)

    def _by_id(self, trace_id: str) -> Ruling | None:
        ruling = self.traces.get(trace_id[:BEGINNING])
        return ruling if ruling is not None and trace_id.startswith(ruling.about) else None

    def _by_words(self, reference: str, *answers: str | None) -> Ruling | None:
        if not self.pairs:
            return None
        found = (self.pairs.get((reference.strip(), answer.strip())) for answer in answers if answer is not None)
        return next((ruling for ruling in found if ruling is not None), None)


def _use(ruling: Ruling, n: int) -> RulingUse:
    return RulingUse(
        line=ruling.line, about=ruling.about, outcome=str(ruling.outcome), who=ruling.who, why=ruling.why, n=n
    )


def read_account(path: Path) -> tuple[RulingUse, ...]:
    """What `account` wrote; none where there is no such file."""
    return tuple(RulingUse(**row) for row in json.loads(path.read_text("utf-8"))) if path.is_file() else ()


NONE = Overrides({}, {})


def read_overrides(path: str | None) -> Overrides:
    """The rulings of a file; none without one. Raises `StudyError` with the faults of all lines."""
    if path is None:
        return NONE
    faults: list[Fault] = []
    rulings: dict[tuple[str, ...], Ruling] = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        if line.strip():
            faults.extend(_take(line, number, f"{Path(path).name}:{number}", rulings))
    if faults:
        raise StudyError(faults, study=Path(path).name)
    traces = {about[0]: ruling for about, ruling in rulings.items() if len(about) == 1}
    return Overrides(traces, {about: ruling for about, ruling in rulings.items() if len(about) == 2})


def override_faults(path: str) -> list[Fault]:
    """Everything that is wrong with a file of rulings."""
    try:
        read_overrides(path)
    except StudyError as error:
        return list(error.faults)
    return []


def _take(line: bytes, number: int, where: str, rulings: dict[tuple[str, ...], Ruling]) -> list[Fault]:
    """File the ruling of one line; its faults when it cannot be."""
    try:
        row: object = json.loads(line)
    except ValueError as error:
        return [Fault(where, f"no JSON: {error}", "one JSON object a line", "mend the line")]
    if not isinstance(row, dict):
        return [Fault(where, f"a {type(row).__name__}", "a JSON object", _REMEDY)]
    fields = cast("dict[str, object]", row)
    faults = list(_faults(fields, where))
    if faults:
        return faults
    words = {name: str(value) for name, value in fields.items()}
    if "trace_id" in words:
        shown = words["trace_id"].strip()
        about: tuple[str, ...] = (shown[:BEGINNING],)
    else:
        about = (words["reference"].strip(), words["answer"].strip())
        shown = f"{about[1]} to {about[0]}"
    ruling = Ruling(line=number, about=shown, outcome=Outcome(words["outcome"]), who=words["who"], why=words["why"])
    before = rulings.setdefault(about, ruling)
    if before.outcome != ruling.outcome:
        found = f"{ruling.outcome!s}, but line {before.line} says {before.outcome!s} about the same"
        return [Fault(where, found, "one ruling about one thing", "remove one of the two lines")]
    return []


def _faults(fields: Mapping[str, object], where: str) -> Iterator[Fault]:
    for name in sorted(set(fields) - set(_FIELDS)):
        yield Fault(where, f"unknown field {name!r}", near_miss(name, _FIELDS), "rename or remove it")
    given = [name for name in ("trace_id", *_PAIR) if name in fields]
    if given not in (["trace_id"], list(_PAIR)):
        found = " and ".join(given) or "neither trace_id nor reference and answer"
        yield Fault(where, found, "a trace_id, or a reference and an answer", _REMEDY)
    for name in (*given, "outcome", "who", "why"):
        value = fields.get(name)
        if not isinstance(value, str) or not value.strip():
            yield Fault(where, f"{name} is {value!r}" if name in fields else f"no {name}", "a text", _REMEDY)
    trace_id = fields.get("trace_id")
    if isinstance(trace_id, str) and 0 < len(trace_id.strip()) < BEGINNING:
        expected = f"at least its first {BEGINNING} characters"
        yield Fault(where, f"trace_id is {trace_id!r}", expected, "copy it from the report or from `lakon show`")
    outcome = fields.get("outcome")
    if isinstance(outcome, str) and outcome.strip() and outcome not in set(Outcome):
        yield Fault(
            where,
            f"outcome is {outcome!r}",
            near_miss(outcome, [str(known) for known in Outcome]),
            "use one of the outcomes",
        )
