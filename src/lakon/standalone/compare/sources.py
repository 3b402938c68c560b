"""What was named on the command line as results: files, folders, patterns, studies; read as one set an author.

`NAME=path,path` names an author and puts its files together. Without a name the files of one folder or pattern and one
format are one author, called after what they lie in.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from pathlib import Path

from lakon.core.errors import InputError
from lakon.standalone.compare.readers.open_file import READERS, check_format, recognise_format
from lakon.standalone.compare.readers.values import FieldNames
from lakon.standalone.compare.results import ResultBuilder, ResultSet

_LISTED = 5
_RESULT_NAMES = (
    "samples_*.jsonl",
    "samples_*.jsonl.gz",
    "*.eval",
    "output-rs*.jsonl",
    "output.jsonl",
    "details_*.parquet",
)
"""What is read of a folder, wherever in it; where it has none of these, its own JSONL, CSV and Parquet files."""
_PLAIN_NAMES = ("*.jsonl", "*.jsonl.gz", "*.csv", "*.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How files are read."""

    format: str | None = None
    fields: FieldNames = field(default_factory=FieldNames)
    keep_answers: bool = False


def read_files(named: str, options: ReadOptions) -> ResultSet:
    """The results of one author from `[NAME=]PATH[,PATH...]`. Raises `InputError`."""
    check_format(options.format)
    name, paths = split_name(named)
    if not paths:
        raise InputError("a name without files", "NAME=path,path", "add the files", where=named)
    files = [file for path in paths for file in find_files(path)]
    builders: dict[str, ResultBuilder] = {}
    for file in files:
        kind = options.format or recognise_format(file)
        builder = builders.get(kind)
        if builder is None:
            builder = ResultBuilder(
                name=name or _call_after(paths[0], files),
                format=kind,
                scheme=_scheme(kind, options.fields),
                keep_answers=options.keep_answers,
            )
            builders[kind] = builder
        builder.files.append(str(file))
        READERS[kind](file, builder, options.fields)
    if len(builders) > 1:
        found = f"files of several formats: {', '.join(sorted(builders))}"
        raise InputError(found, "one format an author", "name the files of each author apart", where=named)
    (builder,) = builders.values()
    return _checked(builder, named)


def split_name(named: str) -> tuple[str, list[str]]:
    """The name before `=`, empty where there is none, and the paths. A file whose own name has `=` or `,` is one."""
    if Path(named).exists():
        return "", [named]
    name, equals, rest = named.partition("=")
    if not equals or "/" in name:
        name, rest = "", named
    return name, [path for path in rest.split(",") if path]


def find_files(path: str) -> list[Path]:
    """The files of a path, folder or pattern, sorted. Raises `InputError` where there is none."""
    place = Path(path).expanduser()
    if place.is_dir():
        for patterns in (_RESULT_NAMES, _PLAIN_NAMES):
            found = sorted({file for pattern in patterns for file in place.rglob(pattern)})
            if found:
                return found
        expected = "samples_*.jsonl, *.eval, output-rs*.jsonl, details_*.parquet, *.jsonl, *.csv or *.parquet in it"
        raise InputError("a folder without results", expected, "check the folder, or name the files", where=path)
    if place.is_file():
        return [place]
    matching = sorted(Path(file) for file in glob.glob(str(place)))
    if not matching:
        raise InputError("no such file", "a file, a folder or a pattern", "check the path", where=path)
    return matching


def _call_after(path: str, files: list[Path]) -> str:
    """An author's name where none was given: that of its only file or of its folder."""
    place = Path(path)
    if place.is_dir():
        return place.resolve().name
    if len(files) == 1:
        name = files[0].name
        for ending in (".gz", ".jsonl", ".json", ".eval", ".csv", ".parquet"):
            name = name.removesuffix(ending)
        return name
    return place.parent.resolve().name


def _scheme(kind: str, fields: FieldNames) -> str:
    """What the ids of a format are. Ids that a user named are one scheme over all formats that have them."""
    if fields.id:
        return f"field {fields.id}"
    return "fields" if kind in ("jsonl", "csv", "parquet") else kind


def _checked(builder: ResultBuilder, named: str) -> ResultSet:
    result = builder.build()
    if len(result.row):
        return result
    told = "; ".join(f"{bad.where}: {bad.why}" for bad in result.bad_rows[:_LISTED])
    found = f"no sample that can be read ({len(result.bad_rows):,} bad rows{': ' if told else ''}{told})"
    raise InputError(found, f"samples of {builder.format}", "check the file, its --format and --fields", where=named)
