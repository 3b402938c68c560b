"""Rows of Hugging Face data sets, from the hub or a local folder, streamed: two million rows never lie in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from laconic.core.errors import InputError


def rows(
    path: str, *, config: str | None, split: str, revision: str | None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """`(path/split:index, row)` for each row. Raises `InputError` when the data set cannot be had."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise InputError(
            "a Hugging Face data set, but the package `datasets` is not installed",
            "the extra `train`",
            "pip install 'laconic[train]'",
            where=path,
        ) from error
    try:
        data: Any = load_dataset(path, config, split=split, revision=revision, streaming=True)
        for index, row in enumerate(data):
            yield f"{path}/{split}:{index}", cast("Mapping[str, object]", row)
    except InputError:
        raise
    except Exception as error:  # hub, network and format errors have no common base
        raise InputError(
            f"{type(error).__name__}: {str(error)[:300]}",
            "a data set that can be read, with this configuration, split and revision",
            "check the name and the network, log in with `hf auth login` for a gated one, or use a local file",
            where=f"{path} ({split})",
        ) from error
