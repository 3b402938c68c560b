"""The data of a report: plain values that the report stage fills in and the render room displays.

It lies in the core because stages and render are on the same floor and may not import each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lakon.core.records import HeldOutLoss, Loss, LossBin, Problem, Score, Trace, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One author of the study: a teacher, the base model, or a student trained on one arm."""

    label: str
    """The author name in scores, for instance `concise@tokens`."""
    kind: str
    """`teacher`, `base` or `student`."""
    arm: str | None = None
    match: str | None = None
    """The matching rule of its arm: `problems`, `tokens` or `steps`."""
    student: str | None = None
    """The base model's name, when there are several bases."""
    seeds: tuple[int, ...] = ()
    n_examples: int = 0
    n_problems: int = 0
    n_train_tokens: int = 0
    """Completion tokens trained on, repeats and epochs included, in the common tokenizer."""
    n_steps: int = 0
    trained_elsewhere: bool = False
    """Whether it was trained by others: what it was trained on is then not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """One step of the funnel from problems to examples, with the rows that were excluded before it."""

    label: str
    n: int
    excluded: dict[str, int] = field(default_factory=dict[str, int])
    """Rule to number of rows that it excluded since the step before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """The mean profile of a teacher's correct traces."""

    author: str
    n_traces: int
    n_problems: int
    means: dict[str, tuple[float, float, float]]
    """Pattern to mean, low and high, clustered by problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Showcase:
    """One problem with the traces of several authors, side by side."""

    problem: Problem
    entries: tuple[tuple[str, Trace, Verdict], ...]
    """Author label, trace, verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence of the conclusions, and the scores that support it."""

    text: str
    rests_on: tuple[Score, ...] = ()
    detail: bool = False
    """Whether it belongs to the full list of comparisons instead of the headline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCounts:
    """What the judge says about a random sample of the rules' accepts and about one of their rejects."""

    n_accepts: int = 0
    """Accepts from which the sample was drawn."""
    n_rejects: int = 0
    """Rejects from which the sample was drawn."""
    upheld_accepts: int = 0
    """Accepted by the rules; the judge agrees."""
    overturned_accepts: int = 0
    """Accepted by the rules; the judge calls the answer wrong."""
    undecided_accepts: int = 0
    """Accepted by the rules; the judge's votes are undecided, so no rate includes them."""
    upheld_rejects: int = 0
    """Rejected by the rules; the judge agrees."""
    overturned_rejects: int = 0
    """Rejected by the rules; the judge calls the answer correct."""
    undecided_rejects: int = 0
    disagreements: tuple[str, ...] = ()
    """Ids of the traces that were overturned, for a person to review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAccount:
    """A judge's work on the answers of one author on one benchmark."""

    n_answers: int = 0
    n_judgeable: int = 0
    """Answers that a judge can be asked about: not truncated, refused, failed, or ruled on by a person."""
    n_asked: int = 0
    """Answers that it was asked about, to decide or to audit."""
    n_decided: int = 0
    """Answers whose verdict is the judge's."""
    n_undecided: int = 0
    """Of those, answers on which its votes are undecided."""
    n_calls: int = 0
    """Replies, including those to repeated requests. Answers with the same prompt share a reply.

    A shared reply counts once for each author and benchmark, and is paid for once in the whole store.
    """
    n_errors: int = 0
    """Of those, calls that failed for good."""
    n_tokens: int = 0
    """Tokens that the judge generated, by the provider's count."""
    n_prompt_tokens: int = 0
    """Tokens of its prompts."""
    audit: AuditCounts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredValue:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFigures:
    """The statistics of an audit of the rules by the judge."""

    label: str
    counts: AuditCounts
    agreement: MeasuredValue | None = None
    """Over all answers: accepts and rejects are weighted by their numbers."""
    kappa: MeasuredValue | None = None
    """Over the audited answers only."""
    false_accepts: MeasuredValue | None = None
    """Share of the rules' accepts that the judge calls wrong."""
    false_rejects: MeasuredValue | None = None
    """Share of the rules' rejects that the judge calls right."""
    raw_accuracy: MeasuredValue | None = None
    """Share of all verdicts that are correct; None where the judge decided every answer itself."""
    corrected_accuracy: MeasuredValue | None = None
    """The same if the judge had decided every answer that the rules decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulingUse:
    """A human ruling and the number of verdicts that it decided."""

    line: int
    about: str
    outcome: str
    who: str
    why: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """One verdict that a new verification changed."""

    trace_id: str
    before: str
    method_before: str
    after: str
    method_after: str
    extracted: str
    """The answer that the new verification extracted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChanges:
    """The verdicts of one author on one benchmark that the last verification changed."""

    label: str
    since: str
    """The verifier before this one."""
    counts: dict[str, int]
    """`correct → incorrect` to the number of verdicts."""
    listed: tuple[VerdictChange, ...]
    """The first ones, with their traces."""


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
    """The verdicts that rulings decided."""
    unused_rulings: tuple[RulingUse, ...] = ()
    """The rulings that decided no verdict."""
    changes: tuple[VerdictChanges, ...] = ()
    """The verdicts that the last verification changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleLoss:
    """How well a base predicts one teacher's traces before training."""

    teacher: str
    """Its label."""
    n_traces: int
    loss: MeasuredValue
    """Nats a token: the mean over problems of the mean loss of a trace."""
    bins: tuple[LossBin, ...]
    """All tokens, and tokens by position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossGap:
    """The paired difference of a base's losses on two teachers' traces."""

    teacher: str
    baseline: str
    difference: MeasuredValue
    """Nats a token, `teacher` less `baseline`."""
    p_value: float
    """Adjusted for the number of gaps of the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiarity:
    """How familiar one base is with each teacher's style."""

    student: str
    """Empty where a study has but one."""
    n_problems: int
    """Problems on which all teachers were measured."""
    n_left_out: int = 0
    """Problems that were chosen, but on which not all teachers could be measured."""
    n_too_long: int = 0
    """Traces of those that are longer than the context."""
    n_not_finite: int = 0
    """Traces of those with a loss that is no number."""
    context: int | None = None
    """The most tokens that the base takes."""
    styles: tuple[StyleLoss, ...] = ()
    gaps: tuple[LossGap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that a report shows, all of it computed from the study."""

    study: str
    title: str
    description: str
    caveats: tuple[str, ...]
    """The limits of the study, in whole sentences."""
    conclusions: tuple[Sentence, ...]
    authors: tuple[ModelCard, ...]
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
    """Whether the study states the margin; otherwise it is the default."""
    confidence: float
    provenance: dict[str, str]
    """Field to value: versions, digests, verifier, seeds, sampling."""
    resolved: str
    """The whole resolved study as JSON text."""
    profiles: tuple[ProfileRow, ...] = ()
    """The teachers' profiles, side by side."""
    familiarity: tuple[Familiarity, ...] = ()
    """One for each base that was measured."""
    held_out: dict[str, list[HeldOutLoss]] = field(default_factory=dict[str, list[HeldOutLoss]])
    """Author label as in `losses` to the losses on held-out examples; styles are labels of teachers."""
