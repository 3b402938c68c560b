"""What a report is made of: plain values that the report stage fills in and the render room draws.

It stands in the core because stages and render are rooms on one floor and neither may import the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lakon.core.records import Loss, Problem, Score, Trace, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorCard:
    """One author of the study: a teacher, the base model, or a student trained on one arm."""

    label: str
    """The name under which its scores stand, for instance `concise@tokens`."""
    kind: str
    """`teacher`, `base` or `student`."""
    arm: str | None = None
    match: str | None = None
    """The rule by which its arm was made comparable: `problems` or `tokens`."""
    student: str | None = None
    """The base model's name, when there are several."""
    seeds: tuple[int, ...] = ()
    n_examples: int = 0
    n_problems: int = 0
    n_train_tokens: int = 0
    """Completion tokens trained on, repeats and epochs included, in the common tokenizer."""
    n_steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """One bar of the funnel from problems to examples, with the reasons why rows fell out before it."""

    label: str
    n: int
    excluded: dict[str, int] = field(default_factory=dict[str, int])
    """Rule to number of rows that it left out on the way here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """How a teacher's correct traces reason, on average."""

    author: str
    n_traces: int
    n_problems: int
    means: dict[str, tuple[float, float, float]]
    """Pattern to mean and interval, clustered by problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showcase:
    """One problem with what several authors wrote for it, side by side."""

    problem: Problem
    entries: tuple[tuple[str, Trace, Verdict], ...]
    """Author label, trace, verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence of the verdict, and the scores it rests on."""

    text: str
    rests_on: tuple[Score, ...] = ()
    detail: bool = False
    """Whether it belongs to the full account of every comparison rather than to the headline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCounts:
    """A judge's look at a random sample of the rules' accepts, and at one of their rejects."""

    n_accepts: int = 0
    """Accepts from which the sample was drawn."""
    n_rejects: int = 0
    accepts_right: int = 0
    """Accepted by the rules, and by the judge too."""
    accepts_wrong: int = 0
    accepts_undecided: int = 0
    """The judge could not decide: in no rate."""
    rejects_right: int = 0
    """Rejected by the rules, though the judge calls the answer right."""
    rejects_wrong: int = 0
    """Rejected by both."""
    rejects_undecided: int = 0
    disagreements: tuple[str, ...] = ()
    """Traces about which the two differ, for a person to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAccount:
    """What a judge was asked about the answers of one author on one benchmark."""

    n_answers: int = 0
    n_judgeable: int = 0
    """Answers that a judge could be asked about: neither truncated, refused, failed nor ruled on by a person."""
    n_heard: int = 0
    """Answers that it was asked about, to decide or to audit."""
    n_decided: int = 0
    """Answers whose verdict is the judge's."""
    n_undecided: int = 0
    """Of those, answers about which its votes settled nothing."""
    n_calls: int = 0
    """Replies, those asked again included. Answers that read the same share theirs: it counts once for each author and
    benchmark, and is paid for once in the whole store."""
    n_errors: int = 0
    """Of those, calls that failed for good."""
    n_tokens: int = 0
    """Tokens that the judge generated, by its provider's count."""
    n_prompt_tokens: int = 0
    """Tokens that it was shown."""
    audit: AuditCounts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFigures:
    """What an audit says about the rules, as seen by the judge."""

    label: str
    counts: AuditCounts
    agreement: Measured | None = None
    """Over all answers: each sample weighted by how many accepts or rejects it stands for."""
    kappa: Measured | None = None
    """Over the audited answers."""
    false_accepts: Measured | None = None
    """Share of the rules' accepts that the judge calls wrong."""
    false_rejects: Measured | None = None
    """Share of the rules' rejects that the judge calls right."""
    raw_accuracy: Measured | None = None
    """Share of all verdicts that are correct as they stand; None where the judge decided every answer itself."""
    corrected_accuracy: Measured | None = None
    """The same had the judge looked at every answer that the rules decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulingUse:
    """A human ruling and how many verdicts it made."""

    line: int
    about: str
    outcome: str
    who: str
    why: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One verdict that a new verification changed."""

    trace_id: str
    before: str
    method_before: str
    after: str
    method_after: str
    extracted: str
    """The answer, as it is read now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The verdicts of one author on one benchmark that the last verification changed."""

    label: str
    since: str
    """The verifier before this one."""
    moves: dict[str, int]
    """`correct → incorrect` to how many."""
    listed: tuple[Move, ...]
    """The first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How the answers of a study were verified."""

    policy: str
    methods: dict[str, int]
    """Method to the number of answers that it decided."""
    judge: str = ""
    """The judge's model; empty when there is none."""
    votes: int = 1
    account: JudgeAccount | None = None
    """Over all authors and benchmarks."""
    audits: tuple[AuditFigures, ...] = ()
    overrides: tuple[Verdict, ...] = ()
    """The verdicts that a person made."""
    unused: tuple[RulingUse, ...] = ()
    """The rulings on which no verdict rests."""
    moved: tuple[Moved, ...] = ()
    """What the last verification changed against the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that a report shows; nothing in it is set by hand."""

    study: str
    title: str
    description: str
    caveats: tuple[str, ...]
    """What the study is not, in whole sentences."""
    verdict: tuple[Sentence, ...]
    authors: tuple[AuthorCard, ...]
    benchmarks: tuple[tuple[str, int], ...]
    """Benchmark name and number of problems. Teachers are scored on the pseudo-benchmark `problems`."""
    scores: tuple[Score, ...]
    losses: dict[str, list[Loss]]
    """Author label (with `#seed` when there are several) to its loss curve."""
    funnel: tuple[FunnelRow, ...]
    outcomes: dict[str, dict[str, int]]
    """`author / benchmark` to outcome to number of traces."""
    verification: Verification | None = None
    showcases: tuple[Showcase, ...]
    tokenizer: str
    """The common tokenizer in which all tokens here are counted."""
    margin: float
    """The non-inferiority margin in accuracy (0.05 = five points)."""
    margin_stated: bool = True
    """Whether the study states it; else it is the default."""
    confidence: float
    provenance: dict[str, str]
    """Field to value: versions, digests, verifier, seeds, sampling."""
    resolved: str
    """The whole resolved study as JSON text."""
    profiles: tuple[ProfileRow, ...] = ()
    """The teachers' profiles, side by side."""
