"""The judge after the rules: whom it hears, its votes through the ledger, and what verdicts and audit come of them.

Invariants: a vote that was paid for is never paid for again (its key is the digest of what the judge was shown, the
judge, and the vote's index); rows keep their order; memory holds some numbers a judged row and one batch of texts.
An audited row keeps the verdict of the rules: the audit measures them and must not touch what it measures.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import NamedTuple

from lakon.core.columns import fingerprint
from lakon.core.digest import derive_seed, digest
from lakon.core.messages import build_messages
from lakon.core.protocols import Answered, Author, CallLog, Grading, Jury, Progress, Request
from lakon.core.records import AnsweredTrace, Outcome, Problem, Verdict
from lakon.core.report_data import AuditCounts, JudgeAccount
from lakon.core.spec import Sampling
from lakon.core.spending import Rate
from lakon.stages.generate.call_state import has_retries, read_vain_error
from lakon.stages.generate.generate import generate_traces
from lakon.stages.verify.judgement_columns import Judgement, Judgements, Rows
from lakon.stages.verify.overrides import METHOD as OVERRIDE
from lakon.stages.verify.verify import Verify, answered

METHOD = "judge"
"""The method of a verdict that the judge decided, or should have decided and could not."""
ACCOUNT = "judge.json"
"""The file of a verdict table in which the account of its judge stands."""
BATCH = 4_096
"""Answers whose prompts are in memory at once; at the end of a batch the slowest reply is waited for."""
_DECIDED = {True: Outcome.CORRECT, False: Outcome.INCORRECT, None: Outcome.UNPARSED}


class _Draw:
    """A seeded random sample of a stream: the rows whose trace ids digest to the smallest numbers.

    So it depends on no order, and a larger sample holds the smaller one: growing an audit pays for what is new.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed, self.seen = size, seed, 0
        self._heap: list[tuple[int, int, str]] = []

    def add(self, row: int, trace_id: str) -> None:
        self.seen += 1
        if not self.size:
            return
        entry = (-derive_seed(self.seed, "audit", trace_id), row, trace_id)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    @property
    def rows(self) -> dict[int, str]:
        """Row to trace id."""
        return dict(sorted((row, trace_id) for _, row, trace_id in self._heap))


class Docket:
    """Which rows the judge decides and which it only audits; filled by `verify` as the rules' gradings go by."""

    def __init__(self, spec: Verify, seed: int) -> None:
        self._policy = spec.policy
        self.n_answers = self.n_judgeable = 0
        self.decided = Rows()
        self.accepts, self.rejects = _Draw(spec.audit, seed), _Draw(spec.audit, seed)

    def __call__(self, trace: AnsweredTrace, problem: Problem, grading: Grading) -> None:
        """Take note of the next row."""
        row, self.n_answers = self.n_answers, self.n_answers + 1
        if not _can_be_judged(trace, problem, grading):
            return
        self.n_judgeable += 1
        decides = self._decides(grading)
        if decides:
            self.decided.add(row)
        if grading.outcome in (Outcome.CORRECT, Outcome.INCORRECT) and (not decides or self._policy == "judge"):
            (self.accepts if grading.outcome == Outcome.CORRECT else self.rejects).add(row, trace.trace_id)

    def _decides(self, grading: Grading) -> bool:
        open_ = grading.outcome in (Outcome.UNPARSED, Outcome.TIMEOUT) or grading.disputed
        return self._policy == "judge" or (self._policy == "rules-then-judge" and open_)

    def heard(self) -> Rows:
        """Every row that the judge is asked about."""
        audited = [row for draw in (self.accepts, self.rejects) for row in draw.rows]
        return Rows.of(chain(self.decided, audited))


def _can_be_judged(trace: AnsweredTrace, problem: Problem, grading: Grading) -> bool:
    """Truncated, refused and failed rows stay as they are, and so does what a person has ruled."""
    settled = grading.outcome in (Outcome.TRUNCATED, Outcome.REFUSED, Outcome.ERROR) or grading.method == OVERRIDE
    return not settled and bool(trace.answer.strip()) and bool(problem.reference.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """A judge ready to be asked: who it is, how it is asked and read, and where its replies are kept."""

    author: Author
    jury: Jury
    sampling: Sampling
    ledger: CallLog
    progress: Progress
    stop: threading.Event
    retry: bool = False
    rate: Rate | None = None


@dataclass(slots=True)
class _Hearing:
    """One thing to judge, which several rows may share: the votes so far."""

    subject: str
    prompt: str
    votes: list[bool | None] = field(default_factory=list["bool | None"])
    prompt_tokens: int = 0
    tokens: int = 0
    failed: list[str] = field(default_factory=list[str])
    """The keys of calls that failed for good, those among them whose cut off reply stays."""


class Judged(NamedTuple):
    """What a judge made of a table of gradings."""

    verdicts: Iterator[Verdict]
    """The final ones, in order."""
    account: JudgeAccount
    owed: int
    """Calls that failed, have retries left, and left something open: the next run asks them again."""


def judge(
    asked: Iterable[tuple[AnsweredTrace, Problem]],
    gradings: Callable[[], Iterable[Verdict]],
    docket: Docket,
    court: Court,
) -> Judged:
    """Ask the judge about the rows of the docket; `asked` are all traces with their problems, in order.

    Raises `RunStopped` when the run is stopped first: the ledger keeps the votes that came.
    """
    heard = docket.heard()
    rows = ((row, answered(*pair)) for row, pair in enumerate(asked) if row in heard)
    found, account, owed = _hear(rows, court, len(heard))
    account = replace(
        account,
        n_answers=docket.n_answers,
        n_judgeable=docket.n_judgeable,
        n_heard=len(heard),
        n_decided=len(docket.decided),
        n_undecided=sum(found[row].equal is None for row in docket.decided),
        audit=_audit(docket, found),
    )
    return Judged(_joined(gradings(), docket, found, court.jury.version), account, owed)


def _hear(rows: Iterator[tuple[int, Answered]], court: Court, total: int) -> tuple[Judgements, JudgeAccount, int]:
    """Batch by batch; answers that read the same to the judge share their votes, and only the first has the cost."""
    found = Judgements()
    told: set[int] = set()
    account, part, owed = JudgeAccount(), _Part(court.progress, total * court.jury.votes), 0
    while batch := list(islice(rows, BATCH)):
        hearings: dict[str, _Hearing] = {}
        subjects = [(row, _subject(court.jury.prompt(answer), hearings)) for row, answer in batch]
        _vote(list(hearings.values()), court, part)
        part.advance(court.jury.votes * (len(batch) - len(hearings)))
        new = [hearing for hearing in hearings.values() if fingerprint(hearing.subject) not in told]
        account = _added(account, new)
        owed += sum(_owed(hearing, court) for hearing in new)
        for row, subject in subjects:
            found.add(row, _judgement(hearings[subject], court.jury, counted=fingerprint(subject) in told))
            told.add(fingerprint(subject))
    return found, account, owed


def _owed(hearing: _Hearing, court: Court) -> int:
    """Failed calls that could still settle something; where the other votes did, they are not worth asking again."""
    if court.jury.decide(hearing.votes) is not None:
        return 0
    return sum(has_retries(court.ledger.get(key)) for key in hearing.failed)


def _subject(prompt: str, hearings: dict[str, _Hearing]) -> str:
    subject = digest(["judge", prompt])
    hearings.setdefault(subject, _Hearing(subject, prompt))
    return subject


def _vote(hearings: list[_Hearing], court: Court, part: _Part) -> None:
    """The votes asked for; where they settle nothing, each reply without a judgement is asked again once."""
    votes = court.jury.votes
    _ask([(hearing, range(votes)) for hearing in hearings], court, part)
    again = [h for h in hearings if court.jury.decide(h.votes) is None and None in h.votes]
    _ask([(hearing, range(votes, votes + hearing.votes.count(None))) for hearing in again], court, part)


def _ask(wanted: Sequence[tuple[_Hearing, range]], court: Court, part: _Part) -> None:
    who = digest([court.author.identity, court.sampling.identity()])
    by_subject = {hearing.subject: hearing for hearing, _ in wanted}
    asked = [_request(hearing, who, index, court.sampling) for hearing, indices in wanted for index in indices]
    if not asked:
        return
    replies = generate_traces(
        asked,
        court.author,
        label="judge",
        log=court.ledger,
        counter=_Uncounted(),
        progress=part,
        stop=court.stop,
        retry=court.retry,
        rate=court.rate,
    )
    for reply in replies:
        hearing = by_subject[reply.problem_id]
        if reply.error is not None:
            hearing.votes.append(None)
            hearing.failed.append(reply.trace_id)
            continue
        if read_vain_error(reply.trace_id, court.sampling.max_tokens, court.ledger) is not None:
            hearing.failed.append(reply.trace_id)
        hearing.votes.append(court.jury.read(reply.answer, reply.finish_reason))
        hearing.prompt_tokens += reply.prompt_tokens or 0
        hearing.tokens += reply.completion_tokens or 0
    part.settle()


def _request(hearing: _Hearing, who: str, index: int, sampling: Sampling) -> Request:
    key = digest([hearing.subject, who, index])
    return Request(
        key=key,
        problem_id=hearing.subject,
        messages=build_messages(hearing.prompt),
        sample_index=index,
        seed=derive_seed(key),
        max_tokens=sampling.max_tokens,
    )


class _Uncounted:
    """Judges' replies are accounted by their provider's count alone."""

    name = "none"

    def count(self, texts: Sequence[str]) -> list[int]:
        return [0] * len(texts)


class _Part(Progress):
    """The progress of all batches together, of which `generate_traces` sees one at a time."""

    def __init__(self, whole: Progress, total: int) -> None:
        self._whole, self._total, self._done = whole, total, 0
        self._open = 0

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None:
        """What a batch found in the ledger is done, too."""
        self._open = total - done
        self._done += done
        self._whole.start(max(self._total, self._done + total - done), done=self._done, unit="judgements")

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more votes are in."""
        self._open -= n
        self._done += n
        self._whole.advance(n, **figures)

    def settle(self) -> None:
        """What a batch waited for and another step asked is done, too."""
        if self._open:
            self.advance(self._open)

    def show(self, **figures: float) -> None:
        """Passed on."""
        self._whole.show(**figures)


def _added(account: JudgeAccount, hearings: Iterable[_Hearing]) -> JudgeAccount:
    for hearing in hearings:
        account = replace(
            account,
            n_calls=account.n_calls + len(hearing.votes),
            n_errors=account.n_errors + len(hearing.failed),
            n_tokens=account.n_tokens + hearing.tokens,
            n_prompt_tokens=account.n_prompt_tokens + hearing.prompt_tokens,
        )
    return account


def _judgement(hearing: _Hearing, jury: Jury, *, counted: bool) -> Judgement:
    votes = hearing.votes
    tokens = 0 if counted else hearing.tokens
    return Judgement(jury.decide(votes), votes.count(True), votes.count(False), votes.count(None), tokens)


def _joined(gradings: Iterable[Verdict], docket: Docket, found: Judgements, version: str) -> Iterator[Verdict]:
    for row, verdict in enumerate(gradings):
        judgement = found.find(row)
        if judgement is None:
            yield verdict
            continue
        tokens = judgement.tokens or None
        if row not in docket.decided:
            yield replace(verdict, judge_tokens=tokens)
            continue
        yield replace(
            verdict,
            outcome=str(_DECIDED[judgement.equal]),
            method=METHOD,
            verifier=version,
            judge_tokens=tokens,
            explanation=_explained(judgement, verdict),
        )


def _explained(judgement: Judgement, verdict: Verdict) -> str:
    said = f"yes {judgement.yes}, no {judgement.no}, without a judgement {judgement.unparsed}"
    return f"{said}; the rules said {verdict.outcome} by {verdict.method}"


def _audit(docket: Docket, found: Judgements) -> AuditCounts | None:
    """What the judge said about the samples of the rules' accepts and rejects; None when none was drawn."""
    accepts, rejects = docket.accepts.rows, docket.rejects.rows
    if not accepts and not rejects:
        return None
    up, down = [found[row].equal for row in accepts], [found[row].equal for row in rejects]
    against = [trace_id for row, trace_id in accepts.items() if found[row].equal is False]
    against += [trace_id for row, trace_id in rejects.items() if found[row].equal is True]
    return AuditCounts(
        n_accepts=docket.accepts.seen,
        n_rejects=docket.rejects.seen,
        accepts_right=up.count(True),
        accepts_wrong=up.count(False),
        accepts_undecided=up.count(None),
        rejects_right=down.count(True),
        rejects_wrong=down.count(False),
        rejects_undecided=down.count(None),
        disagreements=tuple(against),
    )
