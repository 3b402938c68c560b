"""Problems from files, generators and the hub, as records under their content keys.

Invariant: a problem occurs once. Rows that cannot be used are exclusions with a rule, except a file that is not
what it says (broken JSON, a missing field): that is the user's to mend and names the file and line.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from laconic.core.digest import derive_seed
from laconic.core.errors import InputError, near_miss
from laconic.core.records import Exclusion, Problem
from laconic.core.spec import PluginPath, Spec
from laconic.stages import presets
from laconic.stages.rows import Rows, broken_json, dig, fits

VERSION = 3


class _Rows(Spec):
    """What every source of rows has: which rows, and where the parts of a problem stand in them."""

    path: str
    """The file, folder or data set."""
    preset: Annotated[str | None, Field(exclude=True)] = None
    """A public data set whose fields fill what is left out here: `nemotron-v1`, `math` ... (`laconic fields presets`).
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
    """Fields to keep as tags, for instance `level`."""
    domain: Literal["math"] = "math"
    """What "correct" means."""
    count: Annotated[int, Field(ge=1)] | None = None
    """Sample so many distinct problems, seeded; all unless given."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: object) -> object:
        return presets.of_problems(raw, hub="split" in cls.model_fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted paths that are read."""
        return (self.prompt_field, self.reference_field, *self.tag_fields, *self.where)


class JsonlProblems(_Rows):
    """Problems from a JSONL file, one object a line; its path is relative to the study file."""

    kind: Literal["jsonl"] = "jsonl"
    """A JSONL file."""


class ParquetProblems(_Rows):
    """Problems from a Parquet file or a folder of shards, relative to the study file."""

    kind: Literal["parquet"] = "parquet"
    """Parquet."""


class HuggingFaceProblems(_Rows):
    """Problems from a data set on the Hugging Face hub, or from a local folder in its formats."""

    kind: Literal["huggingface"] = "huggingface"
    """A data set of the hub."""
    config: str | None = None
    """Its configuration, where it has several."""
    split: str = "test"
    """Its split."""
    revision: str | None = None
    """Pin it: a data set can change under its name. Unpinned, the commit that was read stands in the manifest's
    facts."""


class SyntheticProblems(Spec):
    """Problems from a generator function: `(count, seed=..., min_steps=..., max_steps=..., split=...)`."""

    kind: Literal["synthetic"] = "synthetic"
    """A generator."""
    generator: Literal["word-problems"] | PluginPath = "word-problems"
    """Laconic's own word problems, or a function of one's own."""
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
    domain: Literal["math"] = "math"
    """What "correct" means."""

    @model_validator(mode="after")
    def _some_steps(self) -> SyntheticProblems:
        if self.min_steps > self.max_steps:
            found = f"min_steps = {self.min_steps} above max_steps = {self.max_steps}"
            raise ValueError(f"found {found}; expected a range with something in it; change one of them")
        return self


FileProblems = JsonlProblems | ParquetProblems | HuggingFaceProblems
"""Sources that are rows of a data set."""
ProblemSource = Annotated[
    JsonlProblems | ParquetProblems | SyntheticProblems | HuggingFaceProblems, Field(discriminator="kind")
]


class Sieve:
    """Distinct usable problems of a source in one pass: all of them, or a seeded sample of `count`.

    The sample is the problems whose digests with the seed are smallest. So it does not depend on the order of the
    source, a larger count contains a smaller one, and a heap of `count` problems is all that lies in memory: two
    million rows pass through, and a duplicate meets its twin in the heap or shares its fate.
    """

    def __init__(self, rows: Iterable[Problem | Exclusion], *, count: int | None, seed: int) -> None:
        self._rows, self._count, self._seed = rows, count, seed
        self._kept: dict[str, tuple[int, Problem]] = {}
        self._heap: list[tuple[int, str]] = []
        self.n_rows = 0

    def exclusions(self) -> Iterator[Exclusion]:
        """What is left out, while the source is read; `problems` are known when this has ended.

        Raises `InputError` when nothing is left, or less than the study counts on.
        """
        lost: Counter[str] = Counter()
        for row in self._rows:
            self.n_rows += 1
            exclusion = row if isinstance(row, Exclusion) else self._sift(row)
            if exclusion is not None:
                lost[exclusion.rule] += 1
                yield exclusion
        self._check(lost)

    def problems(self) -> list[Problem]:
        """What was kept, in the order of the source."""
        return [problem for _, problem in sorted(self._kept.values(), key=lambda pair: pair[0])]

    def _sift(self, problem: Problem) -> Exclusion | None:
        if not problem.prompt.strip():
            return _excluded(problem, "empty_prompt")
        if not problem.reference.strip():
            return _excluded(problem, "no_reference")
        if problem.problem_id in self._kept:
            return _excluded(problem, "duplicate_problem")
        self._kept[problem.problem_id] = (self.n_rows, problem)
        return None if self._count is None else self._evict(problem, self._count)

    def _evict(self, problem: Problem, count: int) -> Exclusion | None:
        """Whoever is last in the seeded order, once there are too many."""
        heapq.heappush(self._heap, (-derive_seed(self._seed, "sample", problem.problem_id), problem.problem_id))
        if len(self._heap) <= count:
            return None
        _, problem_id = heapq.heappop(self._heap)
        return _excluded(self._kept.pop(problem_id)[1], "beyond_count")

    def _check(self, lost: Counter[str]) -> None:
        rules = ", ".join(f"{rule}: {n:,}" for rule, n in lost.most_common()) or "none"
        if not self._kept:
            raise InputError(
                f"an empty problem set ({lost.total():,} rows were left out; {rules})",
                "at least one problem with a prompt and a reference",
                "check the file, `where`, and the names of its prompt and reference fields",
            )
        if self._count is not None and len(self._kept) < self._count:
            raise InputError(
                f"{len(self._kept):,} problems in {self.n_rows:,} rows (left out: {rules})",
                f"at least the {self._count:,} that `count` asks for",
                "lower `count`, widen `where`, or see whether the source has become smaller",
            )


def _excluded(problem: Problem, rule: str) -> Exclusion:
    return Exclusion(subject=problem.problem_id, arm="", rule=rule, detail=problem.source)


def problems_of_rows(rows: Rows, spec: FileProblems) -> Iterator[Problem | Exclusion]:
    """The rows that `where` names as problems, by the fields of the spec; one whose text should be JSON and is not is
    an exclusion. Raises `InputError` for a field that a row does not have, and when no row fits `where`."""
    fitting = False
    for where, row in rows:
        if not fits(row, spec.where):
            continue
        fitting = True
        broken = next((name for path in spec.fields if (name := broken_json(row, path))), None)
        yield _problem(row, where, spec) if broken is None else Exclusion(
            subject=_short(where), arm="", rule="broken_json", detail=f"{_short(where)}: {broken} is no JSON"
        )  # fmt: skip
    if not fitting and spec.where:
        raise InputError(
            f"no row with {', '.join(f'{name} = {value!r}' for name, value in spec.where.items())}",
            "at least one row", "check the names and values of `where`",
        )  # fmt: skip


def _problem(row: Mapping[str, object], where: str, spec: FileProblems) -> Problem:
    reference = _text(row, spec.reference_field, where)
    if spec.reference_after:
        reference = reference.rpartition(spec.reference_after)[2].strip()
    if spec.reference_boxed:
        reference = _last_box(reference) or reference
    tags = tuple(f"{name}={_text(row, name, where)}" for name in spec.tag_fields)
    prompt = _text(row, spec.prompt_field, where)
    return Problem.of(prompt, reference, domain=spec.domain, source=_short(where), tags=tags)


def _last_box(text: str) -> str | None:
    """What stands in the last `\\boxed{}`; None when there is none or its braces do not close."""
    start = text.rfind("\\boxed{")
    depth = 0
    for at in range(start + len("\\boxed"), len(text)) if start >= 0 else ():
        escaped = text[at - 1] == "\\"
        depth += 0 if escaped else (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start + len("\\boxed{") : at].strip()
    return None


def _short(where: str) -> str:
    """`file:line` without the folders: where a file lies on this machine is no part of a problem."""
    return Path(where).name if where.startswith("/") else where


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = dig(row, name)
    if value is None and name.split(".")[0] in row:
        return ""  # there, but null: the row is left out under its rule
    if value is None:
        known = [str(key) for key in row]
        raise InputError(f"no field {name!r}", near_miss(name, known), "name the right field in the study", where=where)
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def synthetic(spec: SyntheticProblems, generator: Callable[..., Iterable[Any]]) -> Iterator[Problem]:
    """Problems of a generator whose items have `prompt`, `answer` and `steps`."""
    items = generator(
        spec.count, seed=spec.seed, min_steps=spec.min_steps, max_steps=spec.max_steps, split=spec.split
    )  # fmt: skip
    for index, item in enumerate(items):
        source = f"{spec.generator}/{spec.split}/{spec.seed}/{index}"
        yield Problem.of(
            item.prompt, str(item.answer), domain=spec.domain, source=source, tags=(f"steps={item.steps}",)
        )  # fmt: skip
