"""The records: frozen, slotted, keyed by content. Later stages add tables; nobody adds columns to an earlier one.

A trace is a trace: what a teacher wrote for the corpus and what a student wrote in an evaluation are the same
record, made by the same code. Each record's Arrow schema is derived from its annotations in `store.tables`.

Beside a full record stand light ones, whose fields are some of its columns: a table of gigabytes is read as one of
these where its long texts are not needed, and what was not read is not there to be taken for an empty text. They are
named tuples, which are made in a third of the time that a frozen dataclass takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from lakon.core.digest import digest


class Outcome(StrEnum):
    """What a verifier found. A failure of the grader is an outcome of its own, never charged to the model."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNPARSED = "unparsed"
    """There is an answer but no method could decide about it."""
    TRUNCATED = "truncated"
    """The author ran out of tokens before it answered."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The author or its provider declined (content filter, refusal)."""
    ERROR = "error"
    """No trace to judge (the call failed), or the grader itself broke."""


UNGRADED = frozenset({Outcome.UNPARSED, Outcome.TIMEOUT, Outcome.ERROR})
"""Outcomes that say nothing about the author; they are counted apart, with bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem with its reference answer. `tags` are `name=value` strings, for instance `steps=5`."""

    problem_id: str
    prompt: str
    reference: str
    domain: str
    source: str
    tags: tuple[str, ...] = ()
    duplicate_group: str | None = None

    @staticmethod
    def of(
        prompt: str, reference: str, *, domain: str = "math", source: str = "", tags: tuple[str, ...] = ()
    ) -> Problem:
        """A problem under its content key: the digest of domain, prompt and reference."""
        key = digest([domain, prompt, reference])
        return Problem(problem_id=key, prompt=prompt, reference=reference, domain=domain, source=source, tags=tags)

    def tag(self, name: str) -> str | None:
        """The value of the tag `name`, or None."""
        prefix = f"{name}="
        return next((tag[len(prefix) :] for tag in self.tags if tag.startswith(prefix)), None)


class ProblemTags(NamedTuple):
    """A light `Problem`: what figures are grouped and clustered by."""

    problem_id: str
    tags: tuple[str, ...]
    duplicate_group: str | None


class ProblemOrigin(NamedTuple):
    """A light `Problem`: the row that it was read from, and the fields that are kept of it."""

    problem_id: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one author wrote for one problem, once. `error` is set when there is nothing else."""

    trace_id: str
    problem_id: str
    author: str
    sample_index: int
    reasoning: str = ""
    answer: str = ""
    finish_reason: str | None = None
    """`stop`, `length`, `content_filter`, another of the provider's, or None when it is not known."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """The provider's own count, reasoning included."""
    reasoning_tokens: int | None = None
    n_reasoning: int = 0
    """Tokens of `reasoning` in the study's common tokenizer."""
    n_answer: int = 0
    served_model: str | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    """Until the first token; known of streamed replies."""
    error: str | None = None

    @property
    def n_tokens(self) -> int:
        """Reasoning and answer in the study's common tokenizer."""
        return self.n_reasoning + self.n_answer


class TraceAnswer(NamedTuple):
    """A light `Trace`: what a verifier may see, which is no reasoning."""

    trace_id: str
    problem_id: str
    sample_index: int
    answer: str
    finish_reason: str | None
    error: str | None


class TraceCounts(NamedTuple):
    """A light `Trace`: its numbers, and none of its texts."""

    trace_id: str
    problem_id: str
    sample_index: int
    completion_tokens: int | None
    n_reasoning: int
    n_answer: int
    latency_s: float | None
    error: str | None

    @property
    def n_tokens(self) -> int:
        """Reasoning and answer in the study's common tokenizer."""
        return self.n_reasoning + self.n_answer


AnsweredTrace = Trace | TraceAnswer
"""A trace with its answer: what is verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verifier says of a trace, and which of its methods said so."""

    trace_id: str
    problem_id: str
    sample_index: int
    outcome: str
    extracted: str | None
    method: str
    explanation: str
    verifier: str
    judge_tokens: int | None = None
    """Tokens that a judge generated about this answer; none when the replies about an equal answer were used."""


class VerdictOutcome(NamedTuple):
    """A light `Verdict`: the outcome and the answer that was graded, without how they were found."""

    trace_id: str
    problem_id: str
    sample_index: int
    outcome: str
    extracted: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Something that was left out, and the rule that left it out."""

    subject: str
    """The id of the problem or trace."""
    arm: str
    """The arm it was left out of; empty when it was left out of the whole study."""
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A teacher's part in a problem that can be compared; each of these problems has one row a teacher."""

    problem_id: str
    teacher: str
    trace_id: str | None
    """The correct trace that stands for the teacher; None where it has none."""
    rate: float | None
    """Share of the teacher's graded samples that are right; None where none was graded."""
    pass_rate: float
    """The same over all teachers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training example: what the student is shown, and the text on which it is trained."""

    arm: str
    problem_id: str
    trace_id: str
    teacher: str
    style: str
    prompt: str
    completion: str
    phase: int = 0
    """Curricula train phase 0 first, then phase 1, and so on."""
    repeats: int = 1
    """How often the example occurs in one epoch (more than once when arms are matched by tokens)."""
    n_tokens: int = 0
    """Tokens of the completion in the study's common tokenizer."""
    system: str = ""
    """The system message before the prompt, for instance `Reasoning effort: low`; empty for none."""
    n_prompt: int = 0
    """Tokens of system message and prompt in the study's common tokenizer."""


class ExampleLengths(NamedTuple):
    """A light `Example`: how long it is and how often it is trained, without prompt and completion."""

    arm: str
    problem_id: str
    trace_id: str
    phase: int
    repeats: int
    n_tokens: int
    n_prompt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a trace reasons, counted by keywords and structure (`stages/profile.py`)."""

    trace_id: str
    problem_id: str
    n_tokens: int
    """Of reasoning and answer, in the study's common tokenizer."""
    steps: int
    """Paragraphs of the reasoning."""
    backtracks: int
    self_checks: int
    restatements: int
    branches: int
    """Changes of approach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One optimizer step of a training run."""

    step: int
    n_tokens: int
    """Tokens trained on so far."""
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLoss:
    """The loss of a student in training on one teacher's held-out examples, at one optimizer step."""

    step: int
    """0 is before the first one."""
    trained_tokens: int
    """Tokens trained on so far."""
    style: str
    """The teacher."""
    loss: float
    """Nats a token, over all held-out tokens of the style."""
    n_tokens: int
    """Tokens that the loss is a mean of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedText:
    """One example as a student is trained on it, written out from its token ids, special tokens shown."""

    trace_id: str
    masked: str
    """What is read only: the rendered prompt."""
    trained: str
    """What the loss is taken on, with the end token."""
    n_masked: int
    n_trained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLoss:
    """How well a base predicts one trace of a teacher, before any training."""

    trace_id: str
    problem_id: str
    teacher: str
    n_tokens: int
    """Tokens of the completion in the base's own tokenizer, the end token included."""
    loss: float
    """Nats a token."""
    perplexity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LossBin:
    """How well a base predicts the tokens of a teacher's traces that lie in one stretch of them."""

    teacher: str
    scale: str
    """`all` for whole traces, `tokens` for a distance from the beginning of the completion, or `tenths` of a trace."""
    start: int
    """The first token, or the first tenth, that belongs to the stretch."""
    stop: int | None
    """The first one that does not; None where the stretch has no end."""
    n_tokens: int
    n_traces: int
    """Traces that reach into the stretch."""
    loss: float
    """Nats a token, over all tokens of the stretch."""
    median: float
    q90: float
    q99: float
    surprising: float
    """Share of tokens to which the base gave a probability of less than 1%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One figure of the comparison with its interval, and what it rests on."""

    benchmark: str
    author: str
    metric: str
    at: float | None = None
    """The k of pass@k or the token budget of an accuracy under a budget."""
    baseline: str | None = None
    """The other author, for a difference or a ratio."""
    group: str | None = None
    """A tag such as `steps=5` when the figure is about part of the benchmark."""
    estimate: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    method: str = ""
    n_problems: int
    n_samples: int
    """Samples behind the figure, over all problems."""
    n_ungraded: int = 0
    """Samples that the verifier could not grade; they are counted as wrong here."""
    claim: str = ""
    """What a difference of accuracies supports, one of `Claim`; empty for every other figure."""


RECORDS: dict[str, type] = {
    "problems": Problem,
    "traces": Trace,
    "gradings": Verdict,
    "verdicts": Verdict,
    "exclusions": Exclusion,
    "pool": Paired,
    "examples": Example,
    "profiles": Profile,
    "losses": Loss,
    "held_out": HeldOutLoss,
    "trained_texts": TrainedText,
    "held_out_pool": Paired,
    "familiarity": LossBin,
    "trace_losses": TraceLoss,
    "scores": Score,
}
"""Table name to record type: the tables of a store. `gradings` are what the rules said before a judge was heard;
`held_out_pool` has the problems of the pool that no arm trains on."""

LIGHT_RECORDS: dict[type, type] = {
    ProblemTags: Problem,
    ProblemOrigin: Problem,
    TraceAnswer: Trace,
    TraceCounts: Trace,
    VerdictOutcome: Verdict,
    ExampleLengths: Example,
}
"""Light record to the full one, some of whose columns are its fields."""
