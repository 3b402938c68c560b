"""The judge after the rules: its votes through the ledger, and the verdicts and audit that they give.

Invariants: a vote that was paid for is never paid for again (its key is the digest of the prompt, the judge, and the
index of the vote); rows keep their order; memory holds a few numbers for each judged row and one batch of texts. An
audited row keeps the verdict of the rules, because the audit measures them. Read first: `judge_queue.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from lakon.core.columns import fingerprint
from lakon.core.digest import derive_seed, digest
from lakon.core.messages import build_messages
from lakon.core.protocols import Answered, Author, CallLog, JudgePrompt, Progress, Request
from lakon.core.records import AnsweredTrace, Outcome, Problem, Trace, Verdict
from lakon.core.report_data import AuditCounts, JudgeAccount
from lakon.core.spec import Sampling
from lakon.core.spending import Rate
from lakon.stages.generate.call_state import has_retries, read_vain_error
from lakon.stages.generate.generate import generate_traces
from lakon.stages.verify.batch_progress import BatchProgress
from lakon.stages.verify.judge_queue import JudgeQueue
from lakon.stages.verify.judgement_columns import Judgement, Judgements
from lakon.stages.verify.verify import answer_to_grade

JUDGE_METHOD = "judge"
"""The method of a verdict that the judge decided, or was to decide and could not."""
JUDGE_FILE = "judge.json"
"""The file beside a verdict table that holds the `JudgeAccount`."""
BATCH = 4_096
"""Answers whose prompts are in memory at once. Each batch waits for its slowest reply."""
_OUTCOMES = {True: Outcome.CORRECT, False: Outcome.INCORRECT, None: Outcome.UNPARSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSession:
    """A judge that is ready to be asked: the model, its prompt and sampling, and the ledger of its replies."""

    author: Author
    prompt: JudgePrompt
    sampling: Sampling
    ledger: CallLog
    progress: Progress
    stop: threading.Event
    retry: bool = False
    rate: Rate | None = None


class JudgeResult(NamedTuple):
    """The verdicts and the account of a judge over one table of gradings."""

    verdicts: Iterator[Verdict]
    """The final verdicts, in the order of the gradings."""
    account: JudgeAccount
    owed: int
    """Failed calls that have retries left and could still decide an answer: the next run asks them again."""


@dataclass(slots=True)
class _JudgedAnswer:
    """One prompt, which several rows may share, and the votes so far."""

    prompt_id: str
    prompt: str
    votes: list[bool | None] = field(default_factory=list["bool | None"])
    prompt_tokens: int = 0
    tokens: int = 0
    failed_keys: list[str] = field(default_factory=list[str])
    """Keys of calls that failed for good, and of those whose reply was cut off and stays so."""


def judge_answers(
    traces_and_problems: Iterable[tuple[AnsweredTrace, Problem]],
    gradings: Callable[[], Iterable[Verdict]],
    queue: JudgeQueue,
    session: JudgeSession,
) -> JudgeResult:
    """Ask the judge about the rows of the queue.

    `traces_and_problems` and `gradings` have the rows that were added to the queue, in the same order. Raises
    `RunStopped` when the run is stopped first; the ledger keeps the votes that arrived.
    """
    rows = queue.rows_to_ask()
    answers = ((row, answer_to_grade(*pair)) for row, pair in enumerate(traces_and_problems) if row in rows)
    judgements, account, owed = _collect_judgements(answers, session, len(rows))
    account = replace(
        account,
        n_answers=queue.n_answers,
        n_judgeable=queue.n_judgeable,
        n_asked=len(rows),
        n_decided=len(queue.decided),
        n_undecided=sum(judgements[row].correct is None for row in queue.decided),
        audit=_count_audit(queue, judgements),
    )
    verdicts = _final_verdicts(gradings(), queue, judgements, session.prompt.version)
    return JudgeResult(verdicts, account, owed)


def _collect_judgements(
    answers: Iterator[tuple[int, Answered]], session: JudgeSession, n_rows: int
) -> tuple[Judgements, JudgeAccount, int]:
    """Judge batch by batch. Rows with the same prompt share their votes; only the first of them carries the cost."""
    judgements, account, owed = Judgements(), JudgeAccount(), 0
    counted: set[int] = set()
    progress = BatchProgress(session.progress, n_rows * session.prompt.votes)
    while batch := list(islice(answers, BATCH)):
        by_prompt: dict[str, _JudgedAnswer] = {}
        row_prompts = [(row, _add_prompt(session.prompt.write(answer), by_prompt)) for row, answer in batch]
        _collect_votes(list(by_prompt.values()), session, progress)
        progress.advance(session.prompt.votes * (len(batch) - len(by_prompt)))
        new = [judged for judged in by_prompt.values() if fingerprint(judged.prompt_id) not in counted]
        account = _add_costs(account, new)
        owed += sum(_count_owed(judged, session) for judged in new)
        for row, prompt_id in row_prompts:
            shared = fingerprint(prompt_id) in counted
            judgements.add(row, _judgement(by_prompt[prompt_id], session.prompt, shared=shared))
            counted.add(fingerprint(prompt_id))
    return judgements, account, owed


def _add_prompt(prompt: str, by_prompt: dict[str, _JudgedAnswer]) -> str:
    prompt_id = digest(["judge", prompt])
    by_prompt.setdefault(prompt_id, _JudgedAnswer(prompt_id, prompt))
    return prompt_id


def _collect_votes(answers: list[_JudgedAnswer], session: JudgeSession, progress: BatchProgress) -> None:
    """Ask for every vote. Where the votes are undecided, each reply without a judgement is asked for once more."""
    votes = session.prompt.votes
    _ask([(judged, range(votes)) for judged in answers], session, progress)
    undecided = [judged for judged in answers if None in judged.votes and session.prompt.decide(judged.votes) is None]
    _ask([(judged, range(votes, votes + judged.votes.count(None))) for judged in undecided], session, progress)


def _ask(votes: Sequence[tuple[_JudgedAnswer, range]], session: JudgeSession, progress: BatchProgress) -> None:
    """Ask for the votes with these indices and add the replies to their answers."""
    judge_id = digest([session.author.identity, session.sampling.identity()])
    requests: list[Request] = []
    for judged, indices in votes:
        requests.extend(_request(judged, judge_id, index, session.sampling) for index in indices)
    if not requests:
        return
    by_id = {judged.prompt_id: judged for judged, _ in votes}
    replies = generate_traces(
        requests,
        session.author,
        label="judge",
        log=session.ledger,
        counter=_NoCounter(),
        progress=progress,
        stop=session.stop,
        retry=session.retry,
        rate=session.rate,
    )
    for reply in replies:
        _add_vote(by_id[reply.problem_id], reply, session)
    progress.finish_batch()


def _add_vote(judged: _JudgedAnswer, reply: Trace, session: JudgeSession) -> None:
    if reply.error is not None:
        judged.votes.append(None)
        judged.failed_keys.append(reply.trace_id)
        return
    if read_vain_error(reply.trace_id, session.sampling.max_tokens, session.ledger) is not None:
        judged.failed_keys.append(reply.trace_id)
    judged.votes.append(session.prompt.parse(reply.answer, reply.finish_reason))
    judged.prompt_tokens += reply.prompt_tokens or 0
    judged.tokens += reply.completion_tokens or 0


def _request(judged: _JudgedAnswer, judge_id: str, index: int, sampling: Sampling) -> Request:
    key = digest([judged.prompt_id, judge_id, index])
    return Request(
        key=key,
        problem_id=judged.prompt_id,
        messages=build_messages(judged.prompt),
        sample_index=index,
        seed=derive_seed(key),
        max_tokens=sampling.max_tokens,
    )


def _count_owed(judged: _JudgedAnswer, session: JudgeSession) -> int:
    """Failed calls with retries left; none where the other votes already decide."""
    if session.prompt.decide(judged.votes) is not None:
        return 0
    return sum(has_retries(session.ledger.get(key)) for key in judged.failed_keys)


class _NoCounter:
    """Counts nothing: a judge's replies are accounted by the provider's own count."""

    name = "none"

    def count(self, texts: Sequence[str]) -> list[int]:
        return [0] * len(texts)


def _add_costs(account: JudgeAccount, answers: Iterable[_JudgedAnswer]) -> JudgeAccount:
    for judged in answers:
        account = replace(
            account,
            n_calls=account.n_calls + len(judged.votes),
            n_errors=account.n_errors + len(judged.failed_keys),
            n_tokens=account.n_tokens + judged.tokens,
            n_prompt_tokens=account.n_prompt_tokens + judged.prompt_tokens,
        )
    return account


def _judgement(judged: _JudgedAnswer, prompt: JudgePrompt, *, shared: bool) -> Judgement:
    votes = judged.votes
    return Judgement(
        correct=prompt.decide(votes),
        yes=votes.count(True),
        no=votes.count(False),
        unparsed=votes.count(None),
        tokens=0 if shared else judged.tokens,
    )


def _final_verdicts(
    gradings: Iterable[Verdict], queue: JudgeQueue, judgements: Judgements, version: str
) -> Iterator[Verdict]:
    for row, verdict in enumerate(gradings):
        judgement = judgements.find(row)
        if judgement is None:
            yield verdict
            continue
        tokens = judgement.tokens or None
        if row not in queue.decided:
            yield replace(verdict, judge_tokens=tokens)
            continue
        yield replace(
            verdict,
            outcome=str(_OUTCOMES[judgement.correct]),
            method=JUDGE_METHOD,
            verifier=version,
            judge_tokens=tokens,
            explanation=_explanation(judgement, verdict),
        )


def _explanation(judgement: Judgement, verdict: Verdict) -> str:
    votes = f"yes {judgement.yes}, no {judgement.no}, without a judgement {judgement.unparsed}"
    return f"{votes}; the rules said {verdict.outcome} by {verdict.method}"


def _count_audit(queue: JudgeQueue, judgements: Judgements) -> AuditCounts | None:
    """What the judge said about the samples of the rules' accepts and rejects; None when no sample was drawn."""
    accepts, rejects = queue.accepts.trace_ids, queue.rejects.trace_ids
    if not accepts and not rejects:
        return None
    of_accepts = [judgements[row].correct for row in accepts]
    of_rejects = [judgements[row].correct for row in rejects]
    disagreements = [trace_id for row, trace_id in accepts.items() if judgements[row].correct is False]
    disagreements += [trace_id for row, trace_id in rejects.items() if judgements[row].correct is True]
    return AuditCounts(
        n_accepts=queue.accepts.n_candidates,
        n_rejects=queue.rejects.n_candidates,
        upheld_accepts=of_accepts.count(True),
        overturned_accepts=of_accepts.count(False),
        undecided_accepts=of_accepts.count(None),
        upheld_rejects=of_rejects.count(False),
        overturned_rejects=of_rejects.count(True),
        undecided_rejects=of_rejects.count(None),
        disagreements=tuple(disagreements),
    )
