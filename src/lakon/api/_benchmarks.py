"""The benchmarks that are known by name."""

from __future__ import annotations

from typing import Any

from lakon.core.errors import InputError, near_miss
from lakon.study.benchmarks import KNOWN


def benchmarks(name: str | None = None) -> list[dict[str, Any]]:
    """All known benchmarks, or the one called `name`: where each lies, its fields, size and licence. Raises
    `InputError` for a name that none has."""
    if name is not None and name not in KNOWN:
        todo = "`lakon benchmarks` lists them; a study's own stand under [benchmarks.NAME]"
        raise InputError(f"no benchmark {name!r}", near_miss(name, KNOWN), todo)
    rows: list[dict[str, Any]] = []
    for each, known in KNOWN.items():
        if name in (None, each):
            source = known.source
            rows.append(
                {
                    "name": each,
                    "domain": source.domain,
                    "problems": known.n,
                    "licence": known.licence or None,
                    "source": source.path,
                    "config": source.config,
                    "split": source.split,
                    "revision": source.revision,
                    "problem_field": source.prompt_field,
                    "reference_field": source.reference_field,
                    "about": known.about,
                }
            )
    return rows
