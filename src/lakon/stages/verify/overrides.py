"""Human rulings: lines of a file that win over every method, each with who ruled and why.

Invariant: no ruling is skipped in silence. One that cannot be read is a fault of the study, found before anything runs;
one that matches nothing in the study is listed in the report.
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

OVERRIDE_METHOD = "override"
"""The method of a verdict that comes from a person's ruling."""
RULINGS_FILE = "rulings.json"
"""The file beside a verdict table that says how many of its verdicts each ruling decided."""
ID_PREFIX = 12
"""Characters of a trace id that a report shows; a ruling gives at least as many."""
_PAIR = ("reference", "answer")
_FIELDS = ("trace_id", *_PAIR, "outcome", "who", "why")
_REMEDY = 'write {"trace_id": "...", "outcome": "correct", "who": "...", "why": "..."}, or reference and answer'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """One person's decision about a trace or an answer."""

    line: int
    about: str
    """The beginning of a trace id, or answer and reference in words."""
    outcome: Outcome
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """Rulings by subject: one trace, or every answer with this text to this reference."""

    traces: Mapping[str, Ruling]
    """By the first `ID_PREFIX` characters of the trace id."""
    pairs: Mapping[tuple[str, str], Ruling]
    """By reference and answer."""
    used: Counter[int] = field(default_factory=Counter[int])
    """Line of a ruling to the number of verdicts that it has decided so far."""

    def apply(self, trace: AnsweredTrace, problem: Problem, grading: Grading) -> Grading:
        """The grading, or the ruling that replaces it; a ruling on the trace itself comes before one on its text."""
        ruling = self._find_by_id(trace.trace_id) or self._find_by_text(
            problem.reference, trace.answer, grading.extracted
        )
        if ruling is None:
            return grading
        self.used[ruling.line] += 1
        return Grading(
            outcome=ruling.outcome,
            extracted=grading.extracted,
            method=OVERRIDE_METHOD,
            explanation=f"{ruling.who}: {ruling.why} (the rules said {grading.outcome} by {grading.method})",
        )

    def uses_as_json(self) -> str:
        """Every ruling with the number of verdicts that it has decided, for `RULINGS_FILE`."""
        rulings = sorted((*self.traces.values(), *self.pairs.values()), key=lambda ruling: ruling.line)
        return json.dumps(
            [asdict(_ruling_use(ruling, self.used[ruling.line])) for ruling in rulings], ensure_ascii=False
        )

    def _find_by_id(self, trace_id: str) -> Ruling | None:
        ruling = self.traces.get(trace_id[:ID_PREFIX])
        return ruling if ruling is not None and trace_id.startswith(ruling.about) else None

    def _find_by_text(self, reference: str, *answers: str | None) -> Ruling | None:
        if not self.pairs:
            return None
        for answer in answers:
            ruling = self.pairs.get((reference.strip(), answer.strip())) if answer is not None else None
            if ruling is not None:
                return ruling
        return None


def _ruling_use(ruling: Ruling, n: int) -> RulingUse:
    return RulingUse(
        line=ruling.line, about=ruling.about, outcome=str(ruling.outcome), who=ruling.who, why=ruling.why, n=n
    )


def read_ruling_uses(path: Path) -> tuple[RulingUse, ...]:
    """The rulings in a `RULINGS_FILE`; none where there is no such file."""
    if not path.is_file():
        return ()
    return tuple(RulingUse(**row) for row in json.loads(path.read_text("utf-8")))


NO_OVERRIDES = Overrides({}, {})


def read_overrides(path: str | None) -> Overrides:
    """The rulings of a file; none without a path. Raises `StudyError` with the faults of all lines."""
    if path is None:
        return NO_OVERRIDES
    faults: list[Fault] = []
    rulings: dict[tuple[str, ...], Ruling] = {}
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        if line.strip():
            faults.extend(_add_ruling(line, number, f"{Path(path).name}:{number}", rulings))
    if faults:
        raise StudyError(faults, study=Path(path).name)
    traces = {subject[0]: ruling for subject, ruling in rulings.items() if len(subject) == 1}
    return Overrides(traces, {subject: ruling for subject, ruling in rulings.items() if len(subject) == 2})


def find_override_faults(path: str) -> list[Fault]:
    """All faults of a file of rulings."""
    try:
        read_overrides(path)
    except StudyError as error:
        return list(error.faults)
    return []


def _add_ruling(line: bytes, number: int, where: str, rulings: dict[tuple[str, ...], Ruling]) -> list[Fault]:
    """Parse one line and add its ruling to `rulings`; returns the faults of the line, if any."""
    try:
        row: object = json.loads(line)
    except ValueError as error:
        return [Fault(where, f"not JSON: {error}", "one JSON object on each line", "correct the line")]
    if not isinstance(row, dict):
        return [Fault(where, f"a {type(row).__name__}", "a JSON object", _REMEDY)]
    fields = cast("dict[str, object]", row)
    faults = list(_field_faults(fields, where))
    if faults:
        return faults
    texts = {name: str(value) for name, value in fields.items()}
    subject: tuple[str, ...]
    if "trace_id" in texts:
        about = texts["trace_id"].strip()
        subject = (about[:ID_PREFIX],)
    else:
        reference, answer = texts["reference"].strip(), texts["answer"].strip()
        about = f"{answer} to {reference}"
        subject = (reference, answer)
    ruling = Ruling(line=number, about=about, outcome=Outcome(texts["outcome"]), who=texts["who"], why=texts["why"])
    earlier = rulings.setdefault(subject, ruling)
    if earlier.outcome != ruling.outcome:
        conflict = f"{ruling.outcome!s}, but line {earlier.line} says {earlier.outcome!s} about the same subject"
        return [Fault(where, conflict, "one ruling for each subject", "remove one of the two lines")]
    return []


def _field_faults(fields: Mapping[str, object], where: str) -> Iterator[Fault]:
    for name in sorted(set(fields) - set(_FIELDS)):
        yield Fault(where, f"unknown field {name!r}", near_miss(name, _FIELDS), "rename or remove it")
    subject = [name for name in ("trace_id", *_PAIR) if name in fields]
    if subject not in (["trace_id"], list(_PAIR)):
        names = " and ".join(subject) or "neither trace_id nor reference and answer"
        yield Fault(where, names, "a trace_id, or a reference and an answer", _REMEDY)
    for name in (*subject, "outcome", "who", "why"):
        value = fields.get(name)
        if not isinstance(value, str) or not value.strip():
            yield Fault(where, f"{name} is {value!r}" if name in fields else f"no {name}", "a text", _REMEDY)
    trace_id = fields.get("trace_id")
    if isinstance(trace_id, str) and 0 < len(trace_id.strip()) < ID_PREFIX:
        expected = f"at least its first {ID_PREFIX} characters"
        yield Fault(where, f"trace_id is {trace_id!r}", expected, "copy it from the report or from `lakon show`")
    outcome = fields.get("outcome")
    if isinstance(outcome, str) and outcome.strip() and outcome not in set(Outcome):
        yield Fault(
            where,
            f"outcome is {outcome!r}",
            near_miss(outcome, [str(known) for known in Outcome]),
            "use one of the outcomes",
        )
