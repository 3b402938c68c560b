"""The reference of the study file, made of the specs themselves: no field can be missing from it or be out of date.

A section is a table of the file. Types are told in plain words, because a study's author need not know Python's; what
a field means is the docstring under it. `docs/study.md` ends with `as_markdown()`.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lakon.core.errors import InputError, near_miss
from lakon.core.spec import Sampling, Spec
from lakon.stages.curate.arms import Arm, Route
from lakon.stages.curate.filters import Filters, Language
from lakon.stages.curate.pool import AtLeast, Curate
from lakon.stages.evaluate.evaluate import Evaluate
from lakon.stages.evaluate.prompting import Prompting
from lakon.stages.generate.specs import CheckpointTeacher, EndpointTeacher, ProceduralTeacher, RecordedTeacher
from lakon.stages.problems.decontaminate import Decontaminate
from lakon.stages.problems.presets import PRESETS
from lakon.stages.problems.sources import (
    HuggingFaceProblems,
    JsonlProblems,
    NoProblems,
    ParquetProblems,
    SyntheticProblems,
)
from lakon.stages.train.train import Adapter, Student, Training, TrainingRun
from lakon.stages.verify.verify import Judge, Verify
from lakon.study.benchmarks import BENCHMARKS
from lakon.study.schema import Compute, Endpoint, Price, Run, Serving, Spending, Study


class Row(NamedTuple):
    """One field as its reader wants to know it."""

    field: str
    type: str
    default: str
    """As TOML; `required`, or empty where leaving it out means none."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the study file; `kind` tells apart what one table may be."""

    table: str
    kind: str
    meaning: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The table as the file has it."""
        return f'{self.table} kind = "{self.kind}"' if self.kind else self.table


_SECTIONS: tuple[tuple[str, type[Spec]], ...] = (
    ("study", Study),
    *(
        ("problems", kind)
        for kind in (JsonlProblems, ParquetProblems, HuggingFaceProblems, SyntheticProblems, NoProblems)
    ),
    ("decontaminate", Decontaminate),
    *(("teachers.NAME", kind) for kind in (EndpointTeacher, RecordedTeacher, CheckpointTeacher, ProceduralTeacher)),
    ("sampling", Sampling),
    ("verify", Verify),
    ("verify.judge", Judge),
    ("curate", Curate),
    ("curate.require", AtLeast),
    ("curate.filters", Filters),
    ("curate.filters.language", Language),
    ("arms.NAME", Arm),
    ("arms.NAME.route", Route),
    ("students", Student),
    ("training", Training),
    ("training.adapter", Adapter),
    ("evaluate", Evaluate),
    ("evaluate.prompts.NAME", Prompting),
    ("run", Run),
    ("run.endpoints.NAME", Endpoint),
    ("run.prices.NAME", Price),
    ("run.budget", Spending),
    ("run.training", TrainingRun),
    ("run.serving", Serving),
    ("run.compute", Compute),
)
_NOTES = {
    "study": "What stands above the first table of the file, and which tables there are.",
    "sampling": "`teachers.NAME.sampling`, `verify.judge.sampling` and `evaluate.sampling`. ",
    "students": "`[[students]]`, in double brackets: one table each. ",
}


def list_sections(named: str | None = None) -> list[Section]:
    """All tables, or those that `named` names: `curate` has `curate.filters` too, `teachers` every kind of teacher.

    Raises `InputError` for a name that no table has.
    """
    sections = [_section(table, spec) for table, spec in _SECTIONS] + [_benchmarks(), _presets()]
    if named is None:
        return sections
    table = named.strip("[]")
    matching = [section for section in sections if f"{section.table}.".startswith(f"{table}.") or section.kind == table]
    if not matching:
        names = {
            name for section in sections for name in (section.table, section.table.partition(".")[0], section.kind)
        }
        todo = "name a table of the study file, or leave it out for all"
        raise InputError(f"no table {named!r}", near_miss(named, names - {""}), todo)
    return matching


def _section(table: str, spec: type[Spec]) -> Section:
    hints = typing.get_type_hints(spec, include_extras=True)
    kind = spec.model_fields.get("kind")
    rows = [
        Row(name, _said(hints[name]), _default(field), " ".join((field.description or "").split()))
        for name, field in spec.model_fields.items()
        if name != "kind"
    ]
    meaning = _NOTES.get(table, "") + ("" if table == "study" else " ".join((spec.__doc__ or "").split()))
    return Section(table, str(kind.default) if kind is not None else "", meaning, tuple(rows))


def _benchmarks() -> Section:
    rows = [
        Row(name, "known", "", f"{source.path} on the hub, split {source.split}; its tags: {_tags(source)}")
        for name, source in BENCHMARKS.items()
    ]
    meaning = (
        "Benchmarks of one's own, named in `evaluate.benchmarks` like the known ones below; their fields are those "
        'of `[problems]`. A local file is one: `[benchmarks.mine]` with `kind = "jsonl"`, `path = "test.jsonl"`, '
        "`prompt_field` and `reference_field`. One that is called like a known one takes its place."
    )
    return Section("benchmarks.NAME", "", meaning, tuple(rows))


def _presets() -> Section:
    rows: list[Row] = []
    for name, preset in PRESETS.items():
        kinds = {"problems": preset.problems, "traces": preset.traces}
        fills = _or([what for what, fields in kinds.items() if fields])
        rows.append(Row(name, fills, "", f"{preset.hub.get('path', 'files')}; licence: {preset.licence}"))
    meaning = "What `preset` may be, for problems and for recorded teachers: public data sets whose fields are known."
    return Section("presets", "", meaning, tuple(rows))


def _tags(source: HuggingFaceProblems) -> str:
    return ", ".join(source.tag_fields) or "none"


# -- types and defaults in words -------------------------------------------------------------------------------


def _said(hint: Any) -> str:
    """A type in plain words."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _bounded(args[0], args[1:])
    if origin is Literal:
        return _or([json.dumps(value) for value in args])
    if origin in (typing.Union, types.UnionType):
        return _or(list(dict.fromkeys(_said(arg) for arg in args if arg is not type(None))))
    if origin is tuple:
        return f"list of: {_said(args[0])}"
    if origin is dict:
        return f"table: {_said(args[0])} to {_said(args[1])}"
    if isinstance(hint, type) and issubclass(hint, Spec):
        return "table"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[hint]


def _or(types: list[str]) -> str:
    return types[0] if len(types) == 1 else f"{', '.join(types[:-1])} or {types[-1]}"


def _bounded(hint: Any, metadata: tuple[Any, ...]) -> str:
    """A type with what pydantic was told about it: bounds, and the patterns of names and plug-ins."""
    parts = [part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])]
    pattern = next((part.pattern for part in parts if getattr(part, "pattern", None)), None)
    if pattern is not None:
        return "package.module:name" if "A-Z" in pattern else "name"
    words = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
    bounds = [f"{word} {getattr(part, name):g}" for part in parts for name, word in words if hasattr(part, name)]
    return " ".join([_said(hint), ", ".join(bounds)]).strip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return _toml(field.default) if field.default is not PydanticUndefined else ""


def _toml(value: object) -> str:
    """A default as a study would state it; empty for None and for tables whose fields say theirs."""
    if value is None or value == {}:
        return ""
    if isinstance(value, Spec):
        parts = [f"{name} = {_toml(getattr(value, name))}" for name in value.model_dump(exclude_defaults=True)]
        return f"{{ {', '.join(parts)} }}" if parts else ""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in typing.cast('tuple[object, ...]', value))}]"
    return json.dumps(value)


# -- looks -----------------------------------------------------------------------------------------------------


def as_text(sections: list[Section]) -> Iterator[str]:
    """Sections as lines for a terminal."""
    for section in sections:
        yield f"[{section.table}]" + (f' kind = "{section.kind}"' if section.kind else "")
        yield f"  {section.meaning}"
        for row in section.rows:
            yield f"  {row.field}: {row.type}{_given(row)}"
            yield f"      {row.meaning}"
        yield ""


def _given(row: Row) -> str:
    return " (required)" if row.default == "required" else f" = {row.default}" if row.default else ""


def as_markdown(sections: list[Section]) -> str:
    """Sections as the tables of `docs/study.md`."""
    lines: list[str] = []
    for section in sections:
        lines += [f"### {section.title}", "", section.meaning, ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{row.field}` | {_safe(row.type)} | {row.default if row.default == 'required' else _code(row.default)} "
            f"| {_safe(row.meaning)} |"
            for row in section.rows
        ]
        lines.append("")
    return "\n".join(lines)


def _safe(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{_safe(text)}`" if text else ""
