"""Problems from files, generators and the hub, as records under their content keys; `sieve.py` takes the distinct ones.

A row that cannot be used is an exclusion with a rule, except in a file that is not what it says (broken JSON, a
missing field): that is the user's to mend and names the file and line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from lakon.core.boxes import last_box
from lakon.core.errors import InputError, near_miss
from lakon.core.records import Exclusion, Problem
from lakon.core.spec import Name, PluginPath, Spec
from lakon.stages.problems import presets
from lakon.stages.problems.rows import Rows, broken_json, matches_values, read_path


class SourceSpec(Spec):
    """What every source answers for itself, with honest defaults for what only some kinds have."""

    is_generated: ClassVar[bool] = False
    """Whether a function makes its problems; else they were written and can be copies of one another."""
    may_be_on_hub: ClassVar[bool] = False
    """Whether its path may be the name of a data set on the hub."""

    @property
    def local_path(self) -> str | None:
        """The file or folder on this machine; None for what is on the hub or made."""
        return None

    @property
    def hub_name(self) -> str | None:
        """The data set on the hub that is read."""
        return None

    @property
    def file_path(self) -> str | None:
        """The file or folder that has to be there."""
        return None

    @property
    def lines_path(self) -> str | None:
        """The file whose lines are problems, where they can be counted and looked at cheaply."""
        return None

    @property
    def is_sampled(self) -> bool:
        """Whether the study's seed says which of its problems are taken."""
        return False


class _Rows(SourceSpec):
    """What every source of rows has: which rows, and where the parts of a problem stand in them."""

    path: str
    """The file, folder or data set."""
    preset: Annotated[str | None, Field(exclude=True)] = None
    """A public data set whose fields fill what is left out here: `nemotron-v1`, `math` ... (`lakon fields presets`).
    What it fills is part of keys, its name is not."""
    where: dict[str, str] = {}
    """Only rows in which these fields have these values."""
    prompt_field: str = "problem"
    """A dotted path into the row: `messages.0.content`, `metadata.expected_answer` (JSON text is looked into)."""
    reference_field: str = "answer"
    """A dotted path to the right answer."""
    reference_after: str | None = None
    """Keep what follows the last occurrence of this, for instance `####` in GSM8K."""
    reference_boxed: bool = False
    """Keep what stands in the last `\\boxed{}`, where there is one."""
    tag_fields: tuple[str, ...] = ()
    """Fields to keep as tags, for instance `level`, or an `id` of your own: exports have them in every row."""
    domain: Name | PluginPath = "math"
    """What "correct" means: `math`, or `package.module:name` of a `Domain` of one's own."""
    count: Annotated[int, Field(ge=1)] | None = None
    """Sample so many distinct problems, seeded; all unless given."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: object) -> object:
        return presets.of_problems(raw, hub="split" in cls.model_fields)

    @property
    def local_path(self) -> str | None:
        """The path, where something lies."""
        return self.path if Path(self.path).exists() else None

    @property
    def is_sampled(self) -> bool:
        """A count is a sample."""
        return self.count is not None

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted paths that are read."""
        return (self.prompt_field, self.reference_field, *self.tag_fields, *self.where)


class JsonlProblems(_Rows):
    """Problems from a JSONL file, one object a line; its path is relative to the study file."""

    kind: Literal["jsonl"] = "jsonl"
    """A JSONL file."""

    @property
    def file_path(self) -> str | None:
        """The path."""
        return self.path

    @property
    def lines_path(self) -> str | None:
        """The path."""
        return self.path


class ParquetProblems(_Rows):
    """Problems from a Parquet file or a folder of shards, relative to the study file."""

    kind: Literal["parquet"] = "parquet"
    """Parquet."""

    @property
    def file_path(self) -> str | None:
        """The path."""
        return self.path


class HuggingFaceProblems(_Rows):
    """Problems from a data set on the Hugging Face hub, or from a local folder in its formats."""

    may_be_on_hub = True
    kind: Literal["huggingface"] = "huggingface"
    """A data set of the hub."""
    config: str | None = None
    """Its configuration, where it has several."""
    split: str = "test"
    """Its split."""
    revision: str | None = None
    """Pin it: a data set can change under its name. Unpinned, the commit that was read stands in the manifest's
    facts."""

    @property
    def hub_name(self) -> str | None:
        """The path, unless a folder lies there."""
        return None if Path(self.path).exists() else self.path


class SyntheticProblems(SourceSpec):
    """Problems from a generator function: `(count, seed=..., min_steps=..., max_steps=..., split=...)`."""

    is_generated = True
    kind: Literal["synthetic"] = "synthetic"
    """A generator."""
    generator: Literal["word-problems"] | PluginPath = "word-problems"
    """Lakon's own word problems, or a function of one's own."""
    count: Annotated[int, Field(ge=1)]
    """How many problems."""
    min_steps: Annotated[int, Field(ge=1)] = 2
    """Fewest steps of reasoning in a problem."""
    max_steps: Annotated[int, Field(ge=1)] = 6
    """Most steps."""
    split: Literal["train", "held-out"] = "train"
    """Splits are disjoint by construction."""
    seed: int = 0
    """Another seed makes other problems."""
    domain: Name | PluginPath = "math"
    """What "correct" means: `math`, or `package.module:name` of a `Domain` of one's own."""

    @model_validator(mode="after")
    def _some_steps(self) -> SyntheticProblems:
        if self.min_steps > self.max_steps:
            found = f"min_steps = {self.min_steps} above max_steps = {self.max_steps}"
            raise ValueError(f"found {found}; expected a range with something in it; change one of them")
        return self


class NoProblems(SourceSpec):
    """No problems, of a study that asks no teacher and only evaluates: what is meant where the table is left out."""

    is_generated = True
    domain: ClassVar[str] = "math"
    count: ClassVar[int] = 0
    kind: Literal["none"] = "none"
    """Nothing."""


FileProblems = JsonlProblems | ParquetProblems | HuggingFaceProblems
"""Sources that are rows of a data set."""
ProblemSource = Annotated[
    JsonlProblems | ParquetProblems | SyntheticProblems | HuggingFaceProblems | NoProblems,
    Field(discriminator="kind"),
]


def problems_of_rows(rows: Rows, spec: FileProblems) -> Iterator[Problem | Exclusion]:
    """The rows that `where` names as problems, by the fields of the spec; one whose text should be JSON and is not is
    an exclusion. Raises `InputError` for a field that a row does not have, and when no row fits `where`."""
    fitting = False
    for where, row in rows:
        if not matches_values(row, spec.where):
            continue
        fitting = True
        broken = next((name for path in spec.fields if (name := broken_json(row, path))), None)
        yield (
            _problem(row, where, spec)
            if broken is None
            else Exclusion(
                subject=_short(where), arm="", rule="broken_json", detail=f"{_short(where)}: {broken} is no JSON"
            )
        )
    if not fitting and spec.where:
        raise InputError(
            f"no row with {', '.join(f'{name} = {value!r}' for name, value in spec.where.items())}",
            "at least one row",
            "check the names and values of `where`",
        )


def _problem(row: Mapping[str, object], where: str, spec: FileProblems) -> Problem:
    reference = _text(row, spec.reference_field, where)
    if spec.reference_after:
        reference = reference.rpartition(spec.reference_after)[2].strip()
    if spec.reference_boxed:
        reference = last_box(reference) or reference
    tags = tuple(f"{name}={_text(row, name, where)}" for name in spec.tag_fields)
    prompt = _text(row, spec.prompt_field, where)
    return Problem.of(prompt, reference, domain=spec.domain, source=_short(where), tags=tags)


def _short(where: str) -> str:
    """`file:line` without the folders: where a file lies on this machine is no part of a problem."""
    return Path(where).name if where.startswith("/") else where


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = read_path(row, name)
    if value is None and name.split(".")[0] in row:
        return ""  # there, but null: the row is left out under its rule
    if value is None:
        known = [str(key) for key in row]
        raise InputError(f"no field {name!r}", near_miss(name, known), "name the right field in the study", where=where)
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def generate_problems(spec: SyntheticProblems, generator: Callable[..., Iterable[Any]]) -> Iterator[Problem]:
    """Problems of a generator whose items have `prompt`, `answer` and `steps`."""
    items = generator(spec.count, seed=spec.seed, min_steps=spec.min_steps, max_steps=spec.max_steps, split=spec.split)
    for index, item in enumerate(items):
        source = f"{spec.generator}/{spec.split}/{spec.seed}/{index}"
        yield Problem.of(
            item.prompt, str(item.answer), domain=spec.domain, source=source, tags=(f"steps={item.steps}",)
        )
