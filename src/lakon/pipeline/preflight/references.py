"""References looked at before a study starts: one that the verifier cannot use costs every answer to its problem.

Only files are read, which cost nothing; data sets of the hub and generators are left alone. A single bad reference is a
warning, since the run leaves its problem out or counts its answers as ungraded; when most are bad, the field is wrong.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakon.core.errors import Fault, InputError, LakonError, StudyError
from lakon.core.protocols import Answered, Domain, Grading, Verifier, VerifierOptions
from lakon.core.records import UNGRADED, Outcome, Problem
from lakon.domains import registry
from lakon.stages.problems.rows import Rows, matches_values, read_jsonl, require_path
from lakon.stages.problems.sources import FileProblems, JsonlProblems, problems_of_rows
from lakon.study.pydantic_errors import is_broken
from lakon.study.schema import Study

MOST = 20_000
"""References of one file that are all checked; of a larger file, so many are drawn."""
LISTED = 10
"""Bad references of one file that are listed one by one."""
LIMIT_S = 2.0
"""Seconds for one reference: a check is waited for."""
_OTHER = "7919"
"""An answer that is hardly ever right: a reference with which it cannot be compared cannot be read."""
_REMEDY = "mend it in the file or remove the row; as it is, {cost}"


def reference_faults(study: Study, known: Sequence[Fault] = ()) -> list[Fault]:
    """Warnings about references of the study's own files, and a fault for a file where most are bad. Sources of which
    a fault is known are left alone."""
    sources = {"problems": study.problems, **{f"benchmarks.{name}": s for name, s in study.benchmarks.items()}}
    files = {
        where: source
        for where, source in sources.items()
        if isinstance(source, JsonlProblems) and not is_broken(where, known)
    }
    limit_s, workers = min(LIMIT_S, study.verify.limit_s), study.run.workers or os.cpu_count() or 1
    faults: list[Fault] = []
    for where, source in files.items():
        try:
            domain = registry.domain(source.domain)
        except InputError:  # the study's own check tells of it
            continue
        with contextlib.closing(domain.make_verifier(VerifierOptions(workers=workers, limit_s=limit_s))) as verifier:
            faults += _of_file(where, source, study.seed, _Probe(domain, verifier, limit_s))
    return faults


@dataclass(frozen=True)
class _Probe:
    """What references are tried with."""

    domain: Domain
    verifier: Verifier
    limit_s: float


def _of_file(where: str, source: JsonlProblems, seed: int, probe: _Probe) -> list[Fault]:
    path = Path(source.path)
    try:
        n_lines = _count(path)
        drawn = set(random.Random(seed).sample(range(1, n_lines + 1), MOST)) if n_lines > MOST else None
        rows = problems_of_rows(_whole(read_jsonl(path, drawn), source, where), source)
        problems = {row.problem_id: row for row in rows if isinstance(row, Problem)}
    except LakonError as error:
        return list(error.faults)
    bad = list(_bad(problems.values(), probe))
    listed = [_warning(where, problem, why, cost) for problem, why, cost in bad[:LISTED]]
    return [*_most(where, bad, len(problems)), *listed, *_unlisted(where, bad), *_drawn(where, n_lines, len(problems))]


def _whole(rows: Rows, source: FileProblems, where: str) -> Rows:
    """The rows, as long as each has the fields that the study names. Raises `StudyError` with all that a row lacks."""
    named = [("prompt_field", source.prompt_field), ("reference_field", source.reference_field)]
    named += [("tag_fields", name) for name in source.tag_fields]
    for at, row in rows:
        lacking = _lacking(row, named, at, where) if matches_values(row, source.where) else []
        if lacking:
            raise StudyError(lacking)
        yield at, row


def _lacking(row: Mapping[str, object], named: Iterable[tuple[str, str]], at: str, where: str) -> list[Fault]:
    faults: list[Fault] = []
    for field, path in named:
        try:
            require_path(row, path, at, field=f"{where}.{field}")
        except InputError as error:
            faults.append(error.fault)
    return faults


def _count(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in file)
    except OSError as error:
        raise InputError(
            str(error.strerror), "a readable JSONL file", "check the path in the study", where=str(path)
        ) from error


def _bad(problems: Iterable[Problem], probe: _Probe) -> Iterator[tuple[Problem, str, str]]:
    """Problems whose reference is of no use, why, and what it costs."""
    ahead: deque[Problem] = deque()

    def probes() -> Iterator[Answered]:
        for problem in problems:
            ahead.append(problem)
            for answer in (probe.domain.read_reference(problem.reference), _OTHER):
                yield Answered(reference=problem.reference, answer=probe.domain.write_answer(answer))

    gradings = probe.verifier.grade(probes())
    for same, other in zip(gradings, gradings, strict=True):
        problem = ahead.popleft()
        reason = _reason(problem, same, other, probe.limit_s)
        if reason is not None:
            yield problem, *reason


def _reason(problem: Problem, same: Grading, other: Grading, limit_s: float) -> tuple[str, str] | None:
    if not problem.reference.strip():
        return "is empty", "its problem is left out"
    if Outcome.TIMEOUT in (same.outcome, other.outcome):
        return f"takes the verifier longer than {limit_s:g} s", "answers may stand as `timeout`"
    if same.outcome is not Outcome.CORRECT:
        return "is not found equal to itself", "no answer to its problem can be right"
    if other.outcome in UNGRADED:
        return "cannot be read", "an answer is right letter for letter, and ungraded otherwise"
    return None


def _warning(where: str, problem: Problem, why: str, cost: str) -> Fault:
    at = f"{where}: {problem.source}, problem {problem.problem_id[:12]} ({_short(problem.prompt)})"
    found = f"the reference {_short(problem.reference)} {why}"
    return Fault(at, found, "a reference that answers can be compared with", _REMEDY.format(cost=cost), "warning")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _most(where: str, bad: list[tuple[Problem, str, str]], n_checked: int) -> list[Fault]:
    if 2 * len(bad) <= n_checked:
        return []
    found = f"{len(bad):,} of {n_checked:,} references are of no use to the verifier"
    todo = "check that it names the field of the final answers"
    return [Fault(f"{where}.reference_field", found, "final answers that can be compared", todo)]


def _unlisted(where: str, bad: list[tuple[Problem, str, str]]) -> list[Fault]:
    if len(bad) <= LISTED:
        return []
    found = f"{len(bad) - LISTED:,} more references that are of no use to the verifier"
    return [
        Fault(where, found, "references that answers can be compared with", "mend the listed ones first", "warning")
    ]


def _drawn(where: str, n_lines: int, n_checked: int) -> list[Fault]:
    if n_lines <= MOST:
        return []
    found = f"{n_lines:,} lines, of which a seeded sample of {n_checked:,} problems was checked"
    todo = "nothing, if the sample is enough; the run verifies with every reference"
    return [Fault(where, found, f"at most {MOST:,} lines to check each reference", todo, "warning")]
