"""What stages need from the outside, typed: authors, verifiers, trainers, tokenizers, engines, ledgers.

Stages take these as arguments; only `pipeline/` chooses implementations. So a stage's test passes a few lines of
its own instead of patching.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from lakon.core.messages import Messages
from lakon.core.records import ExampleLengths, HeldOutLoss, Loss, Outcome, TrainedText

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing to ask an author: a conversation and which sample of it this is."""

    key: str
    """The call's key: problem, author, template, sampling and sample index, but not the token cap."""
    problem_id: str
    messages: Messages
    """All that the author is shown."""
    sample_index: int
    seed: int
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An author's reply in one schema, whatever the wire format was. `error` is set when there is none."""

    reasoning: str = ""
    answer: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    served_model: str | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    error: str | None = None


ABSENT = "absent"
"""The `error` of a reply that was never there to be had (a recorded teacher without this problem): no trace at all."""

Payload = Mapping[str, object]
"""A raw response as plain JSON values: what the ledger keeps, so that a better parser can be applied later."""


class Reader(Protocol):
    """What reads an author's raw responses."""

    def parse(self, payload: Payload) -> Reply:
        """One raw response in the common schema; never raises on any payload that the author wrote."""
        ...


class Author(Reader, Protocol):
    """Something that writes traces: a procedure, a recorded data set, an endpoint, a checkpoint."""

    @property
    def identity(self) -> object:
        """Plain values that say who writes, for the keys of calls; never a URL or a key."""
        ...

    @property
    def paid(self) -> bool:
        """Whether a reply costs money or GPU time, so that each goes through the ledger."""
        ...

    @property
    def may_retry(self) -> bool:
        """Whether a call that failed may do better next time: a server's may, a function fails the same way again."""
        ...

    def ask(
        self,
        requests: Sequence[Request],
        put: Callable[[str, Payload], None],
        *,
        all_requests: Sequence[Request] | None = None,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """Ask every request and hand each raw response to `put(key, payload)` as soon as it is there.

        `all_requests` are those of the whole step, answered ones included, for authors that plan over all of them;
        unless given, `requests` are all. `has_answered` says whether an earlier run had replies from this author, so
        that a refusal now is about its row. A request that fails puts a payload with an `error`; raising is for faults
        of the whole (`AuthorError`).
        """
        ...


@runtime_checkable
class LiveAuthor(Author, Protocol):
    """An author that can be given requests while it works on others."""

    def ask_live(
        self,
        more: Callable[[], list[Request] | None],
        put: Callable[[str, Payload], None],
        *,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """As `ask`, with requests from `more()`: those that may be asked now, an empty list when some will become
        known without a reply, None when only a reply that is still to come can bring more."""
        ...


@runtime_checkable
class ServedAuthor(Protocol):
    """An author that started its own server, and can tell of it."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Which server, in which version, and what its self-test found; empty until it was asked."""
        ...


@runtime_checkable
class ReplayingAuthor(Reader, Protocol):
    """An author whose replies exist already: read as fast as they are taken, they need not all be kept first."""

    paid: Literal[False]
    unused: Mapping[str, int]
    """How many rows no request took, by why, and for how many problems there was none; whole once `replies` has been
    read to its end."""

    @property
    def identity(self) -> object:
        """As of an `Author`."""
        ...

    def replies(self, prompts: Iterable[str], samples: int) -> Iterator[tuple[int, int, Payload]]:
        """What there is for any of `samples` of each prompt, in whatever order it lies: which of the prompts, which of
        its samples, and the raw response. The prompts are read once and not kept."""
        ...


class CallLog(Protocol):
    """The ledger as a stage sees it: durable raw responses by call key."""

    def __contains__(self, key: str, /) -> bool:
        """Whether there is a payload under `key`, as far as that is known without reading it."""
        ...

    def keys(self) -> Iterable[str]:
        """The keys of all calls that have a payload."""
        ...

    def get(self, key: str) -> Payload | None:
        """The newest payload under `key`, or None."""
        ...

    def has_payload(self, key: str) -> bool:
        """Whether there is a payload under `key` that can be read, found as cheaply as the log can."""
        ...

    def note(self, key: str) -> int | None:
        """The note that was put with the newest payload under `key`, without reading it: also when that turned out to
        be damaged, for it was paid. None when there is none."""
        ...

    def put(self, key: str, payload: Payload, *, note: int = 0) -> None:
        """Append; a killed process loses at most one group-commit window, and after `flush` nothing does."""
        ...

    def flush(self) -> None:
        """Return when everything put so far is on the disk."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """A verifier's decision about one answer."""

    outcome: Outcome
    extracted: str | None = None
    method: str = ""
    explanation: str = ""
    disputed: bool = False
    """Whether another method would have said otherwise, so that a judge should look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a verifier may see of a trace: its final answer text, and how it ended. Never the reasoning."""

    reference: str
    answer: str
    finish_reason: str | None = None
    prompt: str = ""


class Verifier(Protocol):
    """Decides whether answers equal references. Grades every row, whatever happens to one of them."""

    @property
    def version(self) -> str:
        """`name@version`; a new version makes a new verdict table."""
        ...

    def grade(self, rows: Iterable[Answered]) -> Iterator[Grading]:
        """One grading a row, in order; never raises for a row, and bounded in time for each."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierOptions:
    """How a verifier is to work."""

    workers: int = 1
    """Worker processes, for what needs any."""
    limit_s: float = 5.0
    """Seconds that one row may take."""
    boxed_only: bool = False
    """Only an answer that is marked as final counts, in a box or as the domain has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What "correct" means: all that the rest of Lakon needs to know of a domain."""

    version: str
    """`name@N`; it is in the keys of verdicts, so raise N when the meaning changes."""
    make_verifier: Callable[[VerifierOptions], Verifier]
    """A verifier that works as the options say."""
    read_reference: Callable[[str], str]
    """The final answer that a reference stands for."""
    write_answer: Callable[[str], str] = str
    """A reply with this final answer, as the verifier expects one: mathematics wants a box."""


class JudgePrompt(Protocol):
    """The prompt of an LLM judge, the parser of its replies, and the rule that turns votes into a decision."""

    @property
    def version(self) -> str:
        """`name@version`; a new version makes a new verdict table."""
        ...

    @property
    def votes(self) -> int:
        """Votes on each answer."""
        ...

    def write(self, answer: Answered) -> str:
        """The prompt about one answer: problem, reference and final answer."""
        ...

    def parse(self, reply: str, finish_reason: str | None) -> bool | None:
        """Whether the judge calls the answer correct; None when the reply has no judgement."""
        ...

    def decide(self, votes: Sequence[bool | None]) -> bool | None:
        """The decision of the votes; None when they are undecided."""
        ...


class TokenCounter(Protocol):
    """The one tokenizer in which all authors of a study are counted."""

    @property
    def name(self) -> str: ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not counted."""
        ...


class Tokenizer(TokenCounter, Protocol):
    """A counter that also finds the place of a token."""

    def cut(self, texts: Sequence[str], limit: int) -> list[str | None]:
        """Each text up to so many tokens; None where it is no longer than that."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training run has to say beside the checkpoint that it wrote."""

    losses: list[Loss]
    dropped: list[ExampleLengths]
    """Examples longer than the maximal length: left out, and said so."""
    texts: list[TrainedText]
    """What the first examples are as the student sees them."""
    held_out: list[HeldOutLoss]
    """Losses of examples that are not trained on, as the training goes."""


class Devices(Protocol):
    """The GPUs of an engine."""

    def __len__(self) -> int: ...

    def lend(self, n: int, stop: threading.Event | None = None) -> AbstractContextManager[tuple[str, ...]]:
        """Wait for `n` that nobody uses and hold them, by their ids; none on a machine without any."""
        ...

    def hold_nodes(self, stop: threading.Event | None = None) -> AbstractContextManager[None]:
        """Wait until nobody else trains over several machines, and keep others waiting."""
        ...


class Engine(Protocol):
    """Where row work and heavy work run: a process pool on one machine, Ray on many."""

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        ...

    @property
    def threads(self) -> int:
        """How many threads a call may use for its arithmetic."""
        ...

    @property
    def devices(self) -> Devices:
        """Its GPUs, lent to one user at a time."""
        ...

    def map(self, function: Callable[[S], T], batches: Iterable[S]) -> Iterator[T]:
        """`function` over `batches` in worker processes; results come in the order in which they finish."""
        ...

    def call(self, function: Callable[..., T], *args: object, on_event: Callable[[object], None] | None = None) -> T:
        """One call in a worker; it may report events, which arrive in this process."""
        ...

    def stop(self) -> None:
        """End all workers now; calls under way raise `RunStopped`."""
        ...

    def close(self) -> None:
        """End the workers when they are idle."""
        ...


class Progress(Protocol):
    """Where a step says how far it is. `start` may be called again as more becomes known."""

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more are done; figures (tokens, errors, cost) are added up and shown."""
        ...

    def show(self, **figures: float) -> None:
        """Figures of this moment (requests in flight), which replace those shown before."""
        ...
