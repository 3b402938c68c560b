"""The parts of a report as plain values: tables, figures and sections.

Page, Markdown and terminal display the same blocks, so they agree on every number. Cells are plain text, not markup;
the code that displays them escapes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lakon.core.records import Problem

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def escape_invisible(text: str) -> str:
    """The text with every control and direction-changing character spelled out, as in `\\u{202E}`."""
    plain = text.replace("\r\n", "\n")
    return _INVISIBLE.sub(lambda match: f"\\u{{{ord(match[0]):04X}}}", plain)


def keep_unbroken(text: str) -> str:
    """The text with no line break inside an interval or a p value."""
    return re.sub(r"\[[^\[\]\s]+, [^\[\]\s]+\]|p [=<] [\d.]+", lambda match: match[0].replace(" ", "\u00a0"), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of a table: its cells, and for bar tables the share of the widest bar (0 to 1)."""

    cells: tuple[str, ...]
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows under one heading; the heading is empty when the table has only one group."""

    heading: str = ""
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A captioned table; the first `n_text` columns hold text, the others numbers."""

    caption: str
    columns: tuple[str, ...]
    groups: tuple[RowGroup, ...]
    n_text: int = 1
    note: str = ""
    folded: bool = False
    """Whether the page shows only the caption until the reader opens the table."""

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
class ShowcasedTrace:
    """One author's trace for a showcased problem."""

    author: str
    mark: str
    """RIGHT, WRONG or NOT GRADED."""
    facts: str
    reasoning: str
    answer: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowcasedProblem:
    """A problem with the traces of several authors, side by side."""

    problem: Problem
    traces: tuple[ShowcasedTrace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of the report."""

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    parts: tuple[Table | Figure | ShowcasedProblem, ...] = ()


def make_table(
    caption: str,
    columns: tuple[str, ...],
    groups: list[RowGroup],
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
    by_column = list(zip(*(row.cells for row in rows), strict=True))
    filled_columns = [i for i, cells in enumerate(by_column) if i < n_text or any(cells)]
    return Table(
        caption=caption,
        columns=tuple(columns[i] for i in filled_columns),
        groups=tuple(_select_columns(group, filled_columns) for group in filled),
        n_text=n_text,
        note=note,
        folded=folded,
    )


def _select_columns(group: RowGroup, columns: list[int]) -> RowGroup:
    rows: list[TableRow] = []
    for row in group.rows:
        cells = tuple(row.cells[i] for i in columns)
        rows.append(TableRow(cells=cells, share=row.share))
    return RowGroup(heading=group.heading, rows=tuple(rows))
