"""What manifests say beside tables: facts that were measured on the way, typed, each written and read here.

No key depends on a fact. Some decide what happens next all the same: `owed` and `errors` say whether a step's failed
rows are asked again, token counts what the budget has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar, cast

from lakon.store.artifacts import ArtifactWriter, Manifest

F = TypeVar("F", bound="_Facts")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    def write(self, out: ArtifactWriter) -> None:
        """Put the facts into the manifest that is being made; what is empty or unknown is left out."""
        out.facts.update({name: value for name, value in asdict(self).items() if value is not None and value != {}})

    @classmethod
    def of(cls: type[F], manifest: Manifest) -> F:
        """The facts of a manifest; what it does not say is as the field's default."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: cast("Any", value) for name, value in manifest.facts.items() if name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFacts(_Facts):
    """Of problems that were read."""

    rows_read: int = 0
    revision: str | None = None
    """The commit of a data set on the hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFacts(_Facts):
    """Of traces: what was asked, what failed, what it took."""

    asked: int = 0
    not_asked: int | None = None
    """Problems that were left out because another teacher had not got them right."""
    errors: int = 0
    owed: int = 0
    """Failed rows that the next run asks again."""
    lost: int | None = None
    """Records of the ledger that failed their checksum."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    served: Mapping[str, int] = field(default_factory=dict[str, int])
    """The model's name as the server gave it, to traces."""
    failed: Mapping[str, int] = field(default_factory=dict[str, int])
    """Kind of error to rows."""
    sampled_by: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of a model in a folder: the server, its version, its self-test."""
    rows_beyond_samples: int | None = None
    """Of recorded traces: rows that no request took, since each problem had its samples already."""
    rows_of_other_problems: int | None = None
    problems_without_trace: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFacts(_Facts):
    """Of verdicts: what a judge was asked, and what changed since the last verification of the same traces."""

    asked: int | None = None
    errors: int | None = None
    owed: int | None = None
    verdict_changes: Mapping[str, Any] | None = None
    """As `stages.verify.changed_verdicts` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFacts(_Facts):
    """Of a training run."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    settings: Mapping[str, str | int | float] = field(default_factory=dict[str, "str | int | float"])
    """What the trainer chose by itself: precision, attention, layout, micro-batch; its name, if it is not ours."""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Package to version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamiliarityFacts(_Facts):
    """Of a base's losses on the teachers' traces."""

    context: int | None = None
    """The most tokens that the base takes; None where it names no bound."""
    precision: str = ""
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Package to version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts(_Facts):
    """Of a pool."""

    problems: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedFacts(_Facts):
    """Of an arm that was matched to the others."""

    budget: int = 0
    """In tokens or steps, as the rule says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFacts(_Facts):
    """Of any step: rows that ended in an error, and how many of them the next run asks again."""

    errors: int = 0
    owed: int = 0
