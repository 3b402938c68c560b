"""A study's arms as data sets that others can train on: Parquet in the conversational layout, with a card.

`messages` is the layout that TRL, LLaMA-Factory and axolotl read; the reasoning stands in the student's own think
format. One folder an arm, which the card declares as a configuration, so that `datasets.load_dataset(DIR, ARM)` works
without a script. Texts are streamed: memory holds one batch, and of every problem where it comes from.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakon.core.columns import PackedStrings, PositionIndex
from lakon.core.errors import InputError
from lakon.core.messages import build_messages
from lakon.core.records import Example, ExampleLengths, ProblemOrigin
from lakon.stages.generate.specs import Teacher
from lakon.stages.problems.presets import PRESETS
from lakon.store.artifacts import Artifact
from lakon.study.schema import Study

_ROWS = 256
"""Rows of one row group: traces are long."""
_GROUPS_PER_FILE = 40
HUB = "hf://"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What was written and where."""

    place: str
    rows: dict[str, int]
    """Configuration (an arm, with its matching rule) to rows."""


def write(
    study: Study, arms: Mapping[str, Artifact], problems: Artifact, funnel: Sequence[Mapping[str, Any]], folder: Path
) -> ExportSummary:
    """Every arm in a folder of its own below `folder`, then the card. Raises `InputError` rather than overwrite."""
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{str(folder)!r} is not empty", "a new or empty folder", "choose another, or empty it")
    if not arms:
        raise InputError("a study without arms", "at least one arm", "add a table [arms.NAME]")
    origins = _Origins.of(problems)
    rows = {name: _write_arm(artifact, origins, folder / name) for name, artifact in arms.items()}
    (folder / "README.md").write_text(card(study, arms, rows, funnel), encoding="utf-8")
    return ExportSummary(place=str(folder), rows=rows)


@dataclass(frozen=True, slots=True)
class _Origins:
    """Where each problem comes from: its row in the source, and the fields that the study keeps as tags."""

    ids: PackedStrings = field(default_factory=PackedStrings)
    sources: PackedStrings = field(default_factory=PackedStrings)
    tags: PackedStrings = field(default_factory=PackedStrings)

    @classmethod
    def of(cls, problems: Artifact) -> _Origins:
        """Those of a table of problems."""
        origins = cls()
        for problem in problems.read("problems", ProblemOrigin):
            origins.ids.append(problem.problem_id)
            origins.sources.append(problem.source)
            origins.tags.append(json.dumps(problem.tags))
        return origins

    def columns(self, at: int) -> dict[str, Any]:
        """The columns of an exported row about the problem at a place."""
        return {"source": self.sources[at], "tags": json.loads(self.tags[at])}


def _write_arm(artifact: Artifact, origins: _Origins, folder: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    schema, n = _schema(), 0
    batches = _batched(_rows_of(artifact, origins))
    for index in itertools.count():
        part = list(itertools.islice(batches, 1))
        if not part and index:
            return n
        with pq.ParquetWriter(folder / f"train-{index:05d}.parquet", schema, compression="zstd") as writer:
            for rows in itertools.chain(part, itertools.islice(batches, _GROUPS_PER_FILE - 1)):
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                n += len(rows)
    return n


def _rows_of(artifact: Artifact, origins: _Origins) -> Iterator[dict[str, Any]]:
    """One epoch in the order of its phases: an example that occurs k times stands in k passes, as in training here. A
    reader that knows nothing of repeats trains on arms that are as comparable as the study made them."""
    passes: dict[int, int] = {}
    places = PositionIndex(origins.ids)
    for example in artifact.read("examples", ExampleLengths):
        passes[example.phase] = max(passes.get(example.phase, 0), example.repeats)
    for phase, most in sorted(passes.items()):
        for occurrence in range(most):
            for example in artifact.read("examples", Example):
                if example.phase == phase and example.repeats > occurrence:
                    yield {**row(example, occurrence), **origins.columns(places[example.problem_id])}


def _batched(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(rows, _ROWS)):
        yield batch


def row(example: Example, occurrence: int) -> dict[str, Any]:
    """One example as the conversation that the student is trained on."""
    turns = [message._asdict() for message in build_messages(example.prompt, example.system)]
    return {
        "messages": [*turns, {"role": "assistant", "content": example.completion}],
        "problem_id": example.problem_id,
        "trace_id": example.trace_id,
        "teacher": example.teacher,
        "style": example.style,
        "phase": example.phase,
        "occurrence": occurrence,
        "n_tokens": example.n_tokens,
    }


def _schema() -> Any:
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    texts = [(name, pa.string()) for name in ("problem_id", "trace_id", "teacher", "style", "source")]
    counts = [(name, pa.int64()) for name in ("phase", "occurrence", "n_tokens")]
    return pa.schema([("messages", pa.list_(message)), *texts, *counts, ("tags", pa.list_(pa.string()))])


def card(
    study: Study, arms: Mapping[str, Artifact], rows: Mapping[str, int], funnel: Iterable[Mapping[str, Any]]
) -> str:
    """The data set's card: configurations for loaders, then protocol, funnel, lengths, licences and digests."""
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/*.parquet\n" for name in arms
    )
    lengths = "\n".join(_length_row(name, rows[name], artifact) for name, artifact in arms.items())
    steps = "\n".join(_funnel_row(row) for row in funnel)
    teachers = "\n".join(f"- `{name}`: {_asked(teacher, study.prompt)}" for name, teacher in study.teachers.items())
    digests = "\n".join(f"- `{name}`: `{artifact.content}`" for name, artifact in arms.items())
    about = f"\n{description}\n" if (description := study.description.strip()) else ""
    require = study.curate.require if isinstance(study.curate.require, str) else study.curate.require.model_dump()
    return f"""---
configs:
{configs}tags:
- reasoning
- lakon
---

# {study.title or study.name}
{about}
Reasoning traces of several teachers on the same problems, verified and paired with Lakon. One configuration an arm;
`messages` is what the student is shown and, as the assistant's turn, trained on. A configuration is one epoch: where
arms are matched by tokens or steps, an example stands in it as often as it occurs, `occurrence` 0, 1 and so on. `phase`
is the order of a curriculum: read such an arm without shuffling across phases. `source` is the row that a problem was
read from, `tags` are its fields that the study keeps (`tag_fields`).

## Protocol

- Pairing: `require = {require}`, matched by {", ".join(study.curate.match)}, seed {study.seed}
- Prompt: `{study.prompt}`; tokens counted with `{Path(study.counting).name}`
- Filters: {_filters(study)}
- Decontaminated against: {_benchmarks(study)}

{teachers}

## Funnel

| step | rows | left out; of verification, the outcomes |
|---|--:|---|
{steps}

## Lengths

| configuration | rows | tokens | mean tokens |
|---|--:|--:|--:|
{lengths}

## Licences

{_licences(study)}

What is not known here, and the terms of the teachers' outputs, are to be looked up and stated before this is published.

## Digests

{digests}
"""


def _length_row(name: str, n: int, artifact: Artifact) -> str:
    light = artifact.read("examples", ExampleLengths)
    total = sum(e.n_tokens * e.repeats for e in light)
    return f"| {name} | {n:,} | {total:,} | {total / max(1, n):,.1f} |"


def _funnel_row(row: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{n:,} `{rule}`" for rule, n in row.get("outcomes", row["left_out"]).items()) or "none"
    return f"| {row['step']} | {row['rows']:,} | {counts} |"


def _asked(teacher: Teacher, prompt: str) -> str:
    """What kind of teacher it is, who was asked, and how: what another would need to ask again."""
    stated = teacher.model_dump()
    shown = {name: stated.get(name) for name in ("model", "samples", "until", "if_correct", "system")}
    if stated.get("prompt", prompt) != prompt:
        shown["prompt"] = stated["prompt"]
    settings = _settings({**shown, **stated.get("sampling", {})})
    return ", ".join(text for text in (teacher.kind, settings) if text)


def _benchmarks(study: Study) -> str:
    if not study.is_decontaminated:
        return "nothing"
    return ", ".join(f"`{name}`" for name in study.evaluate.benchmarks)


def _filters(study: Study) -> str:
    return _settings(study.curate.filters.model_dump(mode="json")) or "none"


def _settings(named: Mapping[str, object]) -> str:
    """Those that are set, as a study file has them."""
    off = ("null", "false", "[]")  # as JSON: to Python a temperature of 0 is false
    values = {name: json.dumps(value) for name, value in named.items()}
    return ", ".join(f"`{name} = {value}`" for name, value in values.items() if value not in off)


def _licences(study: Study) -> str:
    """The licence of every data set of the study that is known by its path, and which are not."""
    known = {str(preset.hub["path"]): preset.licence for preset in PRESETS.values()}
    sources = {"problems": study.problems, **{f"teacher `{name}`": each for name, each in study.teachers.items()}}
    comes_with_problems = {f"teacher `{name}`" for name, each in study.recorded.items() if each.path is None}
    lines: list[str] = []
    for name, source in sources.items():
        stated = source.model_dump()
        if name in comes_with_problems:
            stated = study.problems.model_dump()
        place = stated.get("path") or stated.get("model") or source.kind
        shown = place if str(place) in known else Path(str(place)).name if Path(str(place)).is_absolute() else place
        lines.append(f"- {name}: `{shown}`: {known.get(str(place), 'not known here')}")
    return "\n".join(lines)


def upload_export(folder: Path, repository: str, *, public: bool) -> None:
    """Put a written export on the Hugging Face hub, private unless `public`. Raises `InputError`."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError("no package `huggingface_hub`", "the extra `train`", "pip install 'lakon[train]'") from error
    api = huggingface_hub.HfApi()
    mended = "log in with `hf auth login` or set HF_TOKEN, or choose another name"
    try:
        api.create_repo(repository, repo_type="dataset", private=not public, exist_ok=False)
        mended = f"mend that, remove {repository} on the hub, where it stands half filled, and export again"
        api.upload_folder(repo_id=repository, repo_type="dataset", folder_path=str(folder))
    except Exception as error:  # the client raises its own, its transport's and the operating system's
        expected = "a new data set of your own that the hub accepts"
        raise InputError(f"{HUB}{repository}: {str(error)[:300]}", expected, mended) from error
