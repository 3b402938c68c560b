"""The report as Markdown and as a few lines for the terminal: the page's own tables, without its pictures."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from lakon.core import score_text as wording
from lakon.core.report_data import AuthorCard, ReportData, Sentence
from lakon.render.blocks import Figure, Group, Row, Sample, Table, table, unbroken, visible
from lakon.render.lookup import benchmarks, cards, find, group_heading, token_ratio
from lakon.render.outline import IN_WORDS, scope, sections

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
    yield from _verdict("Verdict", [each for each in data.verdict if not each.detail])
    for section in sections(data):
        yield f"## {_inline(section.title)}"
        yield _inline(" ".join(section.paragraphs))
        for part in section.parts:
            yield from _part(part)
    yield from _verdict(IN_WORDS, [each for each in data.verdict if each.detail])
    if data.resolved:
        yield "## The resolved study"
        yield _fenced(data.resolved, "json")


def _verdict(title: str, sentences: list[Sentence]) -> Iterator[str]:
    if sentences:
        yield f"## {title}"
        yield "\n".join(f"- {_inline(sentence.text)}" for sentence in sentences)


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
    return f"{text[:EXCERPT]}\n[{wording.count(len(text) - EXCERPT)} more characters are not shown]"


def _inline(text: str) -> str:
    """One line of Markdown in which nothing is markup."""
    line = " ".join(visible(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_|~])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\]", line)  # no link can form, while the brackets of intervals stay readable
    line = line.replace("://", "&#58;//")
    return re.sub(r"^([#+-])", r"\\\1", line)


def _fenced(text: str, language: str = "") -> str:
    shown = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def summary_lines(data: ReportData) -> list[str]:
    """For the terminal: the verdict's headline in wrapped sentences, then a small table for each benchmark."""
    lines = [line for sentence in data.verdict if not sentence.detail for line in _bullet(sentence.text)]
    for name, n_problems in benchmarks(data):
        title = _plain(wording.benchmark_title(name))
        lines += ["", f"{title} ({wording.count(n_problems)} problems)", *_summary_table(data, name)]
    return lines


def _bullet(text: str) -> list[str]:
    held = unbroken(_plain(text))
    lines = textwrap.wrap(held, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]


def _summary_table(data: ReportData, benchmark: str) -> list[str]:
    """One row an author, by match rule; the rule stands on the first row of its group only."""
    groups: dict[str, list[AuthorCard]] = {}
    for card in cards(data, benchmark):
        groups.setdefault(group_heading(card), []).append(card)
    rows = tuple(
        Row(cells=_summary_cells(data, benchmark, card, first=card is members[0]))
        for members in groups.values()
        for card in members
    )
    columns = ("author", "matched by", "accuracy", "problems", "tokens", "of baseline")
    made = table("", columns, [Group(rows=rows)])
    return _aligned([made.columns, *(row.cells for row in made.groups[0].rows)]) if made else []


def _summary_cells(data: ReportData, benchmark: str, card: AuthorCard, *, first: bool) -> tuple[str, ...]:
    accuracy, tokens = (find(data, benchmark, card.label, metric) for metric in ("accuracy", "tokens"))
    ratio = token_ratio(data, benchmark, card.label)
    rule = _plain(card.match or "") if first else ""
    cost = wording.count_cell(tokens), wording.ratio(ratio.estimate) if ratio else ""
    own = accuracy is not None and accuracy.n_problems != dict(benchmarks(data))[benchmark]
    asked = wording.count(accuracy.n_problems) if accuracy is not None and own else ""  # others: as the heading says
    return (_plain(card.label), rule, wording.accuracy_cell(accuracy), asked, *cost)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(_pad(cell, i, widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows]


def _pad(cell: str, column: int, width: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _plain(text: str) -> str:
    return " ".join(visible(text).split())
