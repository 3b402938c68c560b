"""Records to Parquet shards and back; the Arrow schema of a record is derived from its annotations.

Invariant: the same rows give the same bytes (fixed writer settings, no timestamps), so that a rerun upstream
which changes nothing disturbs nothing downstream.
"""

# pyarrow ships no types: what comes from it is checked by this file's tests instead.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import contextlib
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from lakon.core.errors import StoreError
from lakon.core.records import LIGHT_RECORDS, RECORDS
from lakon.store import filesystem

if typing.TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

R = TypeVar("R")

ROWS_PER_SHARD = 20_000
CHARS_PER_SHARD = 64 << 20
"""A shard ends when its texts reach this: traces of 60 KB would make files of a gigabyte."""
CHARS_PER_GROUP = 4 << 20
"""A shard is written and read in row groups of so many characters: steps run side by side, and each would hold a whole
shard several times over (rows, columns, compressed pages)."""
UNIQUE = frozenset({"reasoning", "answer", "completion"})
"""Texts of which no two are the same: a dictionary of them is outgrown in every row group, and reading what was begun
as one takes twice the time."""
_LABEL = 64
"""Characters of the longest text that is taken for an id or a label."""
_READ_BATCH = 2_000
_READ_BYTES = 2 << 20
"""What a batch of rows may take when it is read, by the mean of its shard."""


@cache
def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class, field by field; `X | None` is nullable, anything unknown raises."""
    import pyarrow as pa

    fields: list[pa.Field[Any]] = []
    for name, hint in typing.get_type_hints(record).items():
        kind, nullable = _arrow_type(hint, f"{record.__name__}.{name}")
        fields.append(pa.field(name, kind, nullable=nullable))
    return pa.schema(fields)


def _arrow_type(hint: object, where: str) -> tuple[pa.DataType, bool]:
    import pyarrow as pa

    args = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        (inner,) = [arg for arg in args if arg is not type(None)]
        return _arrow_type(inner, where)[0], True
    if typing.get_origin(hint) is tuple:
        return pa.list_(_arrow_type(args[0], where)[0]), False
    plain: dict[object, pa.DataType] = {str: pa.large_string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint not in plain:
        raise TypeError(f"{where} is annotated {hint!r}, which has no Arrow type here; use str, int, float or bool")
    return plain[hint], False


def write_table(folder: Path, name: str, rows: Iterable[object], *, rows_per_shard: int = ROWS_PER_SHARD) -> list[Path]:
    """Write `rows` as `folder/name-00000.parquet` and so on; an empty table is one shard without rows."""
    with _Shards(folder, name, rows_per_shard) as shards:
        for row in rows:
            shards.add(row)
        shards.end()
    return shards.paths


class _Shards(contextlib.AbstractContextManager["_Shards"]):
    """A table's shards while rows come in: of these one row group is in memory."""

    def __init__(self, folder: Path, name: str, most_rows: int) -> None:
        self.paths: list[Path] = []
        self._folder, self._name, self._most_rows = folder, name, most_rows
        record = RECORDS[name]
        self._schema = schema_of(record)
        self._texts = [field for field, kind in typing.get_type_hints(record).items() if kind is str]
        self._file: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._group: list[object] = []
        self._group_chars = self._shard_chars = self._shard_rows = 0

    def add(self, row: object) -> None:
        """Take a row; whole groups and shards are written as they fill."""
        chars = sum(len(getattr(row, field)) for field in self._texts)
        self._group.append(row)
        self._group_chars += chars
        self._shard_chars += chars
        self._shard_rows += 1
        if self._shard_rows >= self._most_rows or self._shard_chars >= CHARS_PER_SHARD:
            self._end_shard()
        elif self._group_chars >= CHARS_PER_GROUP:
            self._end_group()

    def end(self) -> None:
        """Write what is left; a table without rows gets its one shard."""
        if self._shard_rows or not self.paths:
            self._end_shard()

    def __exit__(self, *exc: object) -> None:
        self._close()

    def _end_shard(self) -> None:
        if self._group or not self._shard_rows:
            self._end_group()
        self._close()
        self._shard_chars = self._shard_rows = 0

    def _close(self) -> None:
        file, writer = self._file, self._writer
        self._file = self._writer = None
        if file is not None:
            with file:
                if writer is not None:
                    writer.close()

    def _end_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self.paths.append(self._folder / f"{self._name}-{len(self.paths):05d}.parquet")
            self._file = filesystem.open_shard(self.paths[-1], "write")
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                use_dictionary=cast("Any", [name for name in self._schema.names if name not in UNIQUE]),
            )
        columns = [_column(self._group, field) for field in self._schema.names]
        arrays = [pa.array(column, type=kind) for column, kind in zip(columns, self._schema.types, strict=True)]
        self._group = []
        self._group_chars = 0
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def _column(rows: list[object], field: str) -> list[object]:
    return [_cell(getattr(row, field)) for row in rows]


def _cell(value: object) -> object:
    """Lone surrogates (a model can write them as JSON escapes) have no UTF-8 form; they become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not value.isascii() else value
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value


def read_shard(path: Path, record: type[R]) -> Iterator[R]:
    """The rows of one shard as records, a bounded number of them in memory at a time. A light record reads its own
    columns and no others. Raises `StoreError` for a shard that cannot be read or has other columns than the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    full = LIGHT_RECORDS.get(record, record)
    expected, columns = schema_of(full), schema_of(record).names
    try:
        with filesystem.open_shard(path, "read") as source, pq.ParquetFile(source) as file:
            if file.schema_arrow.names != expected.names:
                raise StoreError(
                    f"the columns {', '.join(file.schema_arrow.names)}",
                    f"those of {full.__name__}: {', '.join(expected.names)}",
                    "the shard was written by another version of Lakon: delete its folder and run the study again",
                    where=str(path),
                )
            at_once = _rows_at_once(file.metadata, columns)
            for group in range(file.num_row_groups):  # one at a time: Arrow reads ahead within what it is given
                for batch in file.iter_batches(batch_size=at_once, columns=columns, row_groups=[group]):
                    yield from _records(batch, record)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{type(error).__name__}: {error}",
            "a readable Parquet shard",
            "delete the artifact's folder and run the study again; ledgers are kept",
            where=str(path),
        ) from error


def _rows_at_once(metadata: pq.FileMetaData, columns: Collection[str]) -> int:
    """How many rows of a shard take about `_READ_BYTES`."""
    size = 0
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        chunks = [group.column(i) for i in range(group.num_columns)]
        size += sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] in columns)
    return max(1, min(_READ_BATCH, _READ_BYTES * metadata.num_rows // max(1, size)))


def _records(batch: pa.RecordBatch, record: type[R]) -> Iterator[R]:
    names = schema_of(record).names
    rows = zip(*(_cells(batch.column(name)) for name in names), strict=True)
    if issubclass(record, tuple):  # a light record is made by position, which takes a third of the time
        return map(cast("Any", record)._make, rows)
    return (record(**dict(zip(names, cells, strict=True))) for cells in rows)


def _cells(column: pa.Array) -> list[Any]:
    """A column's values; labels, which stand in many rows, are one object in all rows of a batch."""
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    if pa.types.is_list(column.type):
        return [tuple(value) for value in values]
    if pa.types.is_large_string(column.type):
        seen: dict[Any, Any] = {}
        return [value if value is None or len(value) > _LABEL else seen.setdefault(value, value) for value in values]
    return values
