"""What "correct" means in mathematics: extract the final answer, then decide by the cheapest method that can.

Invariant: one `Grading` a row, in order, each naming the method that decided; a row can fail, hang or exhaust memory
without costing any other row. Whole numbers and equal strings are decided here, without processes and without algebra;
everything else goes to killable workers. Read next: `extract/marked.py`, `rules/compare.py`, `domains/worker_pool`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

from lakon.core.protocols import Answered, Domain, Grading, VerifierOptions
from lakon.core.reasoning import drop_reasoning, has_open_reasoning
from lakon.core.records import Outcome
from lakon.domains.math.extract.extracted import Extracted
from lakon.domains.math.extract.marked import ENDING, LONGEST, UNMARKED, extract
from lakon.domains.math.extract.prose import PROSE
from lakon.domains.math.extract.statements import join_spaces
from lakon.domains.math.parse.integers import read_whole_number
from lakon.domains.math.rules.answer import read_answer
from lakon.domains.worker_pool.pool import KillablePool, RowResult, Ticket

__all__ = ["Extracted", "MathVerifier", "equal", "extract", "reference_answer"]

RULES = "math@9"
"""Name and version of everything but the extractor of prose; the number counts changes of meaning."""
VERSION = f"{RULES}+{PROSE}"
"""What decides about answers where prose is read too, which is the default."""
WINDOW = 2_048
"""Rows that may wait for a slow one before them: the memory of `grade` is this many rows."""
LONGEST_COMPARED = 20_000
"""Characters of a reference and of an answer above which they are compared as strings and as whole numbers only."""
LONGEST_KEPT = 2_000
"""Characters of an extracted answer that a verdict keeps."""
_REFUSALS = frozenset(("content_filter", "refusal", "refused", "safety"))
_Pair = tuple[str, str]
_Decided = tuple[bool | None, str]


class MathVerifier:
    """Grades mathematical answers against references; implements `core.protocols.Verifier`.

    With `boxed_only` an answer must stand in a box, a `####` line or an answer tag. A text without one is `unparsed` by
    the method `unmarked`: the rules did not look, so they charge nobody, and a judge may still decide.
    """

    def __init__(self, workers: int = 1, limit_s: float = 5.0, memory_mb: int = 1024, boxed_only: bool = False) -> None:
        self.workers, self.limit_s, self.memory_mb, self.boxed_only = workers, limit_s, memory_mb, boxed_only
        self._pool: KillablePool[None, _Pair, _Decided] | None = None

    def __enter__(self) -> MathVerifier:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return (MathVerifier, (self.workers, self.limit_s, self.memory_mb, self.boxed_only))

    @property
    def version(self) -> str:
        """The rules' version, and where prose is read that extractor's: `math@9+prose@1`."""
        return RULES if self.boxed_only else VERSION

    @property
    def pool(self) -> KillablePool[None, _Pair, _Decided]:
        """The workers; they start with the first row that needs one."""
        if self._pool is None:
            self._pool = KillablePool(
                _work, setup=_prepare, workers=self.workers, limit_s=self.limit_s, memory_mb=self.memory_mb
            )
        return self._pool

    def grade(self, rows: Iterable[Answered]) -> Iterator[Grading]:
        """One grading a row, in order. An author that finished without any answer is incorrect, by `no-answer`:
        it had its chance; `unparsed` is an answer about which no method could decide."""
        pending: deque[Grading | _Open] = deque()
        for row in rows:
            pending.append(self._begin(row))
            while pending and (len(pending) >= WINDOW or _is_ready(pending[0])):
                yield self._finish(pending.popleft())
        while pending:
            yield self._finish(pending.popleft())

    def close(self) -> None:
        """End the worker processes; grading again starts new ones."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _begin(self, row: Answered) -> Grading | _Open:
        try:
            early, extracted = _without_comparing(row, self.boxed_only)
            if early is not None:
                return early
            assert extracted.text is not None
            reference = reference_answer(row.reference)
            quick = _quick(reference, extracted.text)
            if quick is not None:
                return _grading(quick, extracted)
            return _Open(self.pool.submit((reference, extracted.text)), extracted)
        except Exception as error:
            return Grading(outcome=Outcome.ERROR, method="grader", explanation=f"{type(error).__name__}: {error}"[:500])

    def _finish(self, pending: Grading | _Open) -> Grading:
        if isinstance(pending, Grading):
            return pending
        return _from_result(self.pool.collect(pending.ticket), pending.extracted)


class _Open:
    """A row that is in the pool."""

    __slots__ = ("extracted", "ticket")

    def __init__(self, ticket: Ticket[_Pair, _Decided], extracted: Extracted) -> None:
        self.ticket, self.extracted = ticket, extracted


def equal(reference: str, candidate: str) -> Grading:
    """Decide about one extracted answer in this process, without a limit of time."""
    decided = _quick(reference, candidate) or _work(None, (reference, candidate))
    return _grading(decided, Extracted(candidate, "given"))


def reference_answer(reference: str) -> str:
    """The answer in a reference that is a whole solution; other references are their own answers."""
    reference = reference[-LONGEST:]
    if "boxed" in reference or "fbox" in reference:
        return extract(reference).text or reference
    last = reference.rpartition("####")[2].strip() if "####" in reference else ""
    if last and "\n" not in last:
        return last
    if len(reference) > 200 and len(re.findall(r"[A-Za-z]{3,}", reference)) > 20:
        return extract(reference).text or reference
    return reference


def _is_ready(pending: Grading | _Open) -> bool:
    return isinstance(pending, Grading) or pending.ticket.result is not None


def _without_comparing(row: Answered, boxed_only: bool) -> tuple[Grading | None, Extracted]:
    """The gradings that need no comparison, and what was extracted for the others."""
    extracted = extract(row.answer, boxed_only=boxed_only)
    if (row.finish_reason or "") in _REFUSALS:
        return Grading(outcome=Outcome.REFUSED, method="finish-reason", explanation=row.finish_reason or ""), extracted
    unfinished = row.finish_reason == "length" or (row.finish_reason is None and has_open_reasoning(row.answer))
    if unfinished and (extracted.text is None or not extracted.stated or has_open_reasoning(row.answer)):
        return Grading(outcome=Outcome.TRUNCATED, method="unfinished", explanation=extracted.rule), extracted
    if extracted.rule == UNMARKED:
        return Grading(outcome=Outcome.UNPARSED, method=UNMARKED), extracted
    prose = None if boxed_only else _in_prose(row.reference, extracted, row.answer)
    if prose is not None:
        return prose, extracted
    if extracted.text is None or not extracted.text.strip():
        return Grading(outcome=Outcome.INCORRECT, method="no-answer", explanation=extracted.rule), extracted
    if not row.reference.strip():
        return Grading(
            outcome=Outcome.UNPARSED, extracted=extracted.text[:LONGEST_KEPT], method="no-reference"
        ), extracted
    return None, extracted


def _quick(reference: str, candidate: str) -> _Decided | None:
    """Whole numbers and equal strings, without any algebra; None when it takes more to decide."""
    ours, theirs = read_whole_number(reference), read_whole_number(candidate)
    if ours is not None and theirs is not None:
        return ours == theirs, "integer"
    if reference == candidate:
        return True, "string"
    if max(len(reference), len(candidate)) > LONGEST_COMPARED:
        return None, "too-long"
    return (True, "string") if read_answer(reference).compacted == read_answer(candidate).compacted else None


_NAMED = re.compile(r"(?:\\(?:text|mathrm|textbf|mbox)\s*\{)?\s*([A-Za-z]{3,})\s*+(?:\}\s*)?")
_CONCLUSION = re.compile(r"(?:thus|so|hence|therefore|consequently)\b[,:]?\s*", re.I)


def _in_prose(reference: str, extracted: Extracted, answer: str) -> Grading | None:
    """A reference that is a name against an author that marked no answer: the conclusion must begin with the name.

    Everything else that such an author wrote is undecided, because what was extracted is only a guess.
    """
    named = _NAMED.fullmatch(reference.strip().strip("$"))
    if not named or (extracted.text and (extracted.stated or re.search(r"[A-Za-z]{3,}", extracted.text))):
        return None
    sentences = re.split(r"(?<=[.!?])\s+|\n+", join_spaces(drop_reasoning(answer[-LONGEST:]))[-ENDING:])
    concluding = [s for s in sentences if _CONCLUSION.match(s)] or sentences[:1]
    said = _CONCLUSION.sub("", concluding[-1], count=1)
    ending = rf".*\b(?:is|was|on|be)\s+(?:an?\s|the\s)?\W*{named[1]}\W*"
    # an ordinary word may begin any sentence (`even if x is negative ...`), a name only one about its bearer
    alone = r"\W*(?:[.,;:!]|\Z)" if named[1].islower() else r"\b"
    if (re.match(rf"\W*{named[1]}{alone}", said) or re.fullmatch(ending, said, re.S)) and not re.search(
        r"\b(?:than|not|or|never|cannot|neither)\b|n['’]t", said
    ):
        return Grading(outcome=Outcome.CORRECT, extracted=named[1], method="named-in-prose", explanation=said[:200])
    if extracted.text is None:
        return None
    return Grading(outcome=Outcome.UNPARSED, extracted=extracted.text, method="unstated", explanation=extracted.rule)


def _grading(decided: _Decided, extracted: Extracted, explanation: str = "") -> Grading:
    verdict, method = decided
    outcome = Outcome.UNPARSED if verdict is None else Outcome.CORRECT if verdict else Outcome.INCORRECT
    text = (extracted.text or "")[:LONGEST_KEPT]
    return Grading(
        outcome=outcome,
        extracted=text,
        method=method,
        explanation=explanation or extracted.rule,
        disputed=verdict is False and method.startswith("veto"),  # a veto overrules what would have been a match
    )


def _from_result(result: RowResult[_Decided], extracted: Extracted) -> Grading:
    if result.status == "done" and result.value is not None:
        return _grading(result.value, extracted)
    outcome = Outcome.TIMEOUT if result.status == "timeout" else Outcome.ERROR
    text = (extracted.text or "")[:LONGEST_KEPT]
    return Grading(
        outcome=outcome,
        extracted=text,
        method="limit" if result.status == "timeout" else "grader",
        explanation=result.detail,
    )


def _prepare() -> None:
    from lakon.domains.math.rules import compare
    from lakon.domains.math.rules import math_verify as symbolic

    symbolic.load_math_verify()
    assert compare


def _work(state: None, pair: _Pair) -> _Decided:
    """What a worker does with one row."""
    from lakon.domains.math.rules.compare import decide

    return tuple(decide(*pair))  # type: ignore[return-value]  # a Decision is such a pair


def boxed(answer: str) -> str:
    """A reply with this final answer."""
    return f"\\boxed{{{answer}}}"


def make_verifier(options: VerifierOptions) -> MathVerifier:
    """A verifier that works as it is told."""
    return MathVerifier(options.workers, options.limit_s, boxed_only=options.boxed_only)


DOMAIN = Domain(version=VERSION, make_verifier=make_verifier, read_reference=reference_answer, write_answer=boxed)
