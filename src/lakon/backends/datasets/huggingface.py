"""Rows of Hugging Face data sets, from the hub or a local folder, streamed: two million rows never lie in memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakon.core.errors import InputError, near_miss

_COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve_commit(path: str, revision: str | None) -> str | None:
    """The commit that `revision` (or the main branch) is now; None for a local folder. Raises `InputError`."""
    if Path(path).exists():
        return None
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    with _faults(path, revision or "main"):
        from huggingface_hub import HfApi

        commit = HfApi().dataset_info(path, revision=revision).sha
    return commit


def read_rows(
    path: str, *, config: str | None, split: str, revision: str | None, fields: Sequence[str] = ()
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """`(path/split:index, row)` for each row, with the columns of `fields` (dotted paths) only, or with all.

    Raises `InputError` when the data set cannot be had or has no such column.
    """
    with _faults(path, split):
        data = _opened(path, config, split, revision)
        columns = _columns(fields, data.column_names, f"{path} ({split})")
        name = Path(path).name if Path(path).exists() else path
        for index, row in enumerate(data.select_columns(columns) if columns else data):
            yield f"{name}/{split}:{index}", row


def _opened(path: str, config: str | None, split: str, revision: str | None) -> Any:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(
            "a Hugging Face data set, but the package `datasets` is not installed",
            "the extra `train`",
            "pip install 'lakon[train]'",
            where=path,
        ) from error
    return load_dataset(path, config, split=split, revision=revision, streaming=True)


def _columns(fields: Sequence[str], known: Sequence[str] | None, where: str) -> list[str]:
    """The columns that the fields begin in; none where the data set does not say which it has."""
    if not known:
        return []
    columns = [field if field in known else field.split(".")[0] for field in fields]
    for field, column in zip(fields, columns, strict=True):
        if column not in known:
            raise InputError(
                f"no column for the field {field!r}",
                near_miss(column, known),
                "name the right field in the study",
                where=where,
            )
    return list(dict.fromkeys(columns))


@contextlib.contextmanager
def _faults(path: str, what: str) -> Iterator[None]:
    """Faults of the hub, the network and the formats, which have no common base, as an `InputError`."""
    try:
        yield
    except (InputError, GeneratorExit):
        raise
    except Exception as error:
        raise InputError(
            f"{type(error).__name__}: {str(error)[:300]}",
            "a data set that can be read, with this configuration, split and revision",
            "check the name and the network, log in with `hf auth login` for a gated one, or use a local file",
            where=f"{path} ({what})",
        ) from error
