"""Which format a file has, by its content, and its reader."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lakon.core.errors import InputError, near_miss
from lakon.standalone.compare.bounded import read_head, read_json, read_lines
from lakon.standalone.compare.readers import inspect_log, lighteval, lm_eval, tables
from lakon.standalone.compare.readers.values import FieldNames
from lakon.standalone.compare.results import ResultBuilder

Reader = Callable[[Path, ResultBuilder, FieldNames], None]

READERS: dict[str, Reader] = {
    "lm-eval": lm_eval.read_lm_eval,
    "inspect": inspect_log.read_eval_archive,
    "inspect-json": inspect_log.read_eval_document,
    "nemo-skills": tables.read_nemo_skills,
    "lighteval": lighteval.read_lighteval,
    "jsonl": partial(tables.read_table, kind="jsonl"),
    "csv": partial(tables.read_table, kind="csv"),
    "parquet": partial(tables.read_table, kind="parquet"),
}
"""Format to reader."""


def check_format(name: str | None) -> None:
    """Raise `InputError` for a format that is not there."""
    if name is not None and name not in READERS:
        raise InputError(f"--format {name}", near_miss(name, READERS), "name one of the formats, or leave it out")


def recognise_format(path: Path) -> str:
    """The format of a file. Raises `InputError` for one that has none of them."""
    head = read_head(path)
    if head[:4] == b"PK\x03\x04":
        if not zipfile.is_zipfile(path):
            raise InputError("no zip file, though it begins like one", "a whole archive", "check it", where=str(path))
        return "inspect"
    if head[:4] == b"PAR1":
        return _recognise_parquet(path)
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if bare[:1] == b"{":
        return _recognise_json(path, bare)
    if tables.is_csv(bare):
        return "csv"
    shown = bare[:40].decode("utf-8", "replace")
    expected = "results of lm-eval, inspect, NeMo-Skills or lighteval, or JSONL, CSV or Parquet with a row a sample"
    found = f"a file that begins with {shown!r}" if bare else "an empty file"
    raise InputError(found, expected, "check the file, or force a --format", where=str(path))


def _recognise_parquet(path: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = set(pq.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"no Parquet: {error}", "a Parquet file", "check the file", where=str(path)) from error
    return "lighteval" if columns >= lighteval.COLUMNS else "parquet"


def _recognise_json(path: Path, head: bytes) -> str:
    line = next((bytes(one) for one in head.splitlines() if one.strip()), b"")
    if len(line) == len(head.rstrip()):
        line = _first_line(path)
    try:
        row = read_json(line)
    except ValueError:
        row = None
    if isinstance(row, dict):
        if lm_eval.is_lm_eval(row):
            return "lm-eval"
        if tables.is_nemo_skills(row):
            return "nemo-skills"
        if not ("eval" in row and "status" in row):
            return "jsonl"
    if inspect_log.is_inspect_document(head):
        return "inspect-json"
    if row is None and b"\n" in head.strip():
        return "jsonl"  # a broken first line is a bad row like any other
    todo = "check the file; a JSON list becomes JSONL by jq -c '.[]'"
    raise InputError("one JSON document that is no log of inspect", "one JSON object a line", todo, where=str(path))


def _first_line(path: Path) -> bytes:
    """The first line, however long it is within bounds."""
    return next((line or b"" for _, line in read_lines(path)), b"")
