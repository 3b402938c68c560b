"""The parts of a report, before anyone decides how they look: tables, figures and sections of plain values.

Page, Markdown and terminal draw the same blocks, so they can't disagree about a number. Cells are finished
text, not markup: whoever draws them escapes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lakon.core.records import Problem

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every control and direction-changing character spelled out, as in `\\u{202E}`."""
    plain = text.replace("\r\n", "\n")
    return _INVISIBLE.sub(lambda match: f"\\u{{{ord(match[0]):04X}}}", plain)


def unbroken(text: str) -> str:
    """The text with its intervals and p values held together at line ends."""
    return re.sub(r"\[[^\[\]\s]+, [^\[\]\s]+\]|p [=<] [\d.]+", lambda match: match[0].replace(" ", "\u00a0"), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table: its cells, and for bar tables the share of the widest bar (0 to 1)."""

    cells: tuple[str, ...]
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that belong together, under a heading (empty when the table has only one group)."""

    heading: str = ""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A captioned table; the first `n_text` columns hold text, the others numbers."""

    caption: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    n_text: int = 1
    note: str = ""
    folded: bool = False
    """Whether the page shows only the caption until the reader asks for the rest."""

    @property
    def has_bars(self) -> bool:
        """Whether any row carries a bar."""
        return any(row.share is not None for group in self.groups for row in group.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A plotly figure as plain values, and the same numbers as a table."""

    key: str
    caption: str
    spec: dict[str, Any]
    numbers: Table
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What one author wrote for a showcased problem."""

    author: str
    mark: str
    """RIGHT, WRONG or NOT GRADED."""
    facts: str
    reasoning: str
    answer: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One showcased problem with its authors' columns."""

    problem: Problem
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of the report."""

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    parts: tuple[Table | Figure | Sample, ...] = ()


def table(
    caption: str,
    columns: tuple[str, ...],
    groups: list[Group],
    *,
    n_text: int = 1,
    note: str = "",
    folded: bool = False,
) -> Table | None:
    """A table without its empty groups and empty columns, or None when nothing is left."""
    filled = [group for group in groups if group.rows]
    if not filled:
        return None
    rows = [row for group in filled for row in group.rows]
    kept = [i for i in range(len(columns)) if i < n_text or any(row.cells[i] for row in rows)]
    narrowed = tuple(
        Group(
            heading=group.heading,
            rows=tuple(Row(cells=tuple(row.cells[i] for i in kept), share=row.share) for row in group.rows),
        )
        for group in filled
    )
    names = tuple(columns[i] for i in kept)
    return Table(caption=caption, columns=names, groups=narrowed, n_text=n_text, note=note, folded=folded)
