"""Rows of Parquet files, row group by row group: of a shard as large as a disk a few hundred rows lie in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakon.core.errors import InputError, near_miss

_BATCH = 256
"""Rows in memory at a time: recorded traces have tens of thousands of characters each."""


def read_rows(path: Path, fields: Sequence[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """`(file:row, row)` for each row of a file or of a folder's shards; only the columns of `fields` (dotted paths).

    Raises `InputError` for a folder without shards, a file that is no Parquet and a column that is not there.
    """
    for shard in shards(path):
        try:
            with pq.ParquetFile(shard) as file:
                columns = _columns(fields, file.schema_arrow.names, shard)
                number = 0
                for group in range(file.num_row_groups):  # one at a time: Arrow reads ahead within what it is given
                    for batch in file.iter_batches(batch_size=_BATCH, columns=columns, row_groups=[group]):
                        for row in batch.to_pylist():
                            yield f"{shard}:{number}", row
                            number += 1
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(shard, error) from error


def _unreadable(shard: Path, error: Exception) -> InputError:
    todo = "check the path, or make or download the file again"
    return InputError(f"{type(error).__name__}: {str(error)[:200]}", "a readable Parquet file", todo, where=str(shard))


def read_columns(path: Path) -> list[str]:
    """The columns of a file, or of a folder's first shard. Raises `InputError` for what is no Parquet."""
    shard = shards(path)[0]
    try:
        return pq.read_schema(shard).names
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(shard, error) from error


def shards(path: Path) -> list[Path]:
    """The file, or the Parquet files below the folder in the order of their names. Raises `InputError`."""
    found = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not found:
        raise InputError("a folder without a .parquet file", "at least one shard", "check the path", where=str(path))
    return found


def _columns(fields: Sequence[str], known: Sequence[str], shard: Path) -> list[str]:
    """The columns that the fields begin in. Raises `InputError` for one that is not there."""
    columns = [field if field in known else field.split(".")[0] for field in fields]
    for field, column in zip(fields, columns, strict=True):
        if column not in known:
            raise InputError(
                f"no column for the field {field!r}",
                near_miss(column, known),
                "name the right field in the study",
                where=str(shard),
            )
    return list(dict.fromkeys(columns))
