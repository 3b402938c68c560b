"""Names in a study to things in Python: a row of a literal table, or a `package.module:name` of the user's."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from lakon.core.errors import InputError, near_miss


def find_plugin(name: str, table: Mapping[str, Any], what: str) -> Any:
    """The entry `name` of `table`, or the object at `package.module:name`. Raises `InputError` when there is none."""
    if name in table:
        return table[name]
    if ":" not in name:
        raise InputError(
            f"no {what} is called {name!r}", near_miss(name, table), "name a known one or package.module:name"
        )
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{what} {name!r} cannot be imported: {error}",
            "an importable module and a name in it",
            "check the spelling, and that the package is installed in this environment",
        ) from error
