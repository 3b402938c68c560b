"""Fingerprints: canonical JSON of plain values, hashed; anything ambiguous raises instead of guessing.

Invariant: equal values give equal digests in every process, on every platform, for ever. Numbers keep their type
(1 and 1.0 differ as JSON text would), NaN and infinities are refused, mapping keys are strings and sorted.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import cast

KEY_CHARS = 12
"""How much of a digest a folder name shows."""


def canonical_json(value: object) -> str:
    """`value` as the one JSON text that stands for it. Raises `TypeError` for what has no canonical form."""
    return json.dumps(_plain(value, "$"), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of `value`, 32 hexadecimal characters (128 bits)."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends on all `parts` and on nothing else."""
    return int(digest(list(parts))[:16], 16) >> 1


def _plain(value: object, path: str) -> object:
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{path} is {value!r}, which has no canonical form; use None or a finite number")
        return value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in pairs}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{i}]") for i, item in enumerate(cast("list[object]", value))]
    raise TypeError(
        f"{path} is a {type(value).__name__}, which has no canonical form; "
        "pass plain values (str, int, float, bool, None, list, dict), for instance model_dump(mode='json')"
    )


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{path} has the key {key!r} ({type(key).__name__}); keys must be strings")
    return key
