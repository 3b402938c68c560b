"""The report as Markdown and as a few lines for the terminal: the page's own tables, without its pictures."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from laconic.core.reporting import ReportData
from laconic.render import formats
from laconic.render.blocks import Figure, Group, Row, Sample, Table, table, visible
from laconic.render.lookup import benchmark_title, benchmarks, cards, find
from laconic.render.outline import scope, sections

EXCERPT = 1_500
"""Characters of one trace in the Markdown report; the page shows more."""


def markdown(data: ReportData) -> str:
    """The report as Markdown: the same sections, every figure as its table, traces as fenced excerpts."""
    return "\n\n".join(block for block in _blocks(data) if block) + "\n"


def _blocks(data: ReportData) -> Iterator[str]:
    yield f"# {_inline(data.title)}"
    yield _inline(data.description)
    yield _inline(scope(data))
    if data.caveats:
        yield "## What this study is not"
        yield "\n".join(f"- {_inline(caveat)}" for caveat in data.caveats)
    if data.verdict:
        yield "## Verdict"
        yield "\n".join(f"- {_inline(sentence.text)}" for sentence in data.verdict)
    for section in sections(data):
        yield f"## {_inline(section.title)}"
        yield _inline(" ".join(section.paragraphs))
        for part in section.parts:
            yield from _part(part)
    if data.resolved:
        yield "## The resolved study"
        yield _fenced(data.resolved, "json")


def _part(part: Table | Figure | Sample) -> Iterator[str]:
    if isinstance(part, Sample):
        yield from _sample(part)
    else:
        made = part.numbers if isinstance(part, Figure) else part
        yield f"**{_inline(made.caption)}**"
        yield _grid(made)
        yield _inline(made.note)


def _grid(made: Table) -> str:
    marks = [":--" if i < made.n_text else "--:" for i in range(len(made.columns))]
    lines = [_line(made.columns), "|" + "|".join(marks) + "|"]
    for group in made.groups:
        if group.heading:
            blanks = [""] * (len(made.columns) - 1)
            lines.append(_line((group.heading, *blanks), strong=True))
        lines.extend(_line(row.cells) for row in group.rows)
    return "\n".join(lines)


def _line(cells: tuple[str, ...], *, strong: bool = False) -> str:
    written = [_inline(cell) for cell in cells]
    if strong:
        written[0] = f"**{written[0]}**"
    return "| " + " | ".join(written) + " |"


def _sample(sample: Sample) -> Iterator[str]:
    yield f"### Problem {_inline(sample.problem.problem_id[:12])}"
    yield _fenced(sample.problem.prompt)
    yield f"Reference answer: {_inline(sample.problem.reference)}"
    for column in sample.columns:
        yield f"**{_inline(column.author)}**: {column.mark}, {_inline(column.facts)}"
        yield _fenced(_excerpt("\n\n".join(text for text in (column.reasoning, column.answer) if text)))


def _excerpt(text: str) -> str:
    if len(text) <= EXCERPT:
        return text
    return f"{text[:EXCERPT]}\n[{formats.count(len(text) - EXCERPT)} more characters are not shown]"


def _inline(text: str) -> str:
    """One line of Markdown in which nothing is markup."""
    line = " ".join(visible(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_|~])", r"\\\1", line)
    line = re.sub(
        r"\](?=[(\[:])", r"\]", line
    )  # no link can form, while the brackets of intervals stay readable
    line = line.replace("://", "&#58;//")
    return re.sub(r"^([#+-])", r"\\\1", line)


def _fenced(text: str, language: str = "") -> str:
    shown = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def summary_lines(data: ReportData) -> list[str]:
    """For the terminal: the verdict in wrapped sentences, then a small table for each benchmark."""
    lines = [line for sentence in data.verdict for line in _bullet(sentence.text)]
    for name, n_problems in benchmarks(data):
        lines += ["", f"{_plain(benchmark_title(name))} ({formats.count(n_problems)} problems)"]
        lines += _summary_table(data, name)
    return lines


def _bullet(text: str) -> list[str]:
    return textwrap.wrap(_plain(text), 100, initial_indent="- ", subsequent_indent="  ")


def _summary_table(data: ReportData, benchmark: str) -> list[str]:
    def cells(author: str) -> tuple[str, ...]:
        accuracy, tokens, truncated = (
            find(data, benchmark, author, metric) for metric in ("accuracy", "tokens", "truncation_rate")
        )
        written = (
            formats.accuracy_cell(accuracy),
            formats.count_cell(tokens),
            formats.accuracy_cell(truncated),
        )
        return (_plain(author), *written)

    rows = tuple(Row(cells=cells(card.label)) for card in cards(data, benchmark))
    made = table("", ("author", "accuracy", "tokens", "truncated"), [Group(rows=rows)])
    return _aligned([made.columns, *(row.cells for row in made.groups[0].rows)]) if made else []


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(_pad(cell, i, widths[i]) for i, cell in enumerate(row)) for row in rows]


def _pad(cell: str, column: int, width: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _plain(text: str) -> str:
    return " ".join(visible(text).split())
