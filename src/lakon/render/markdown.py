"""The report as Markdown and as a few lines for the terminal: the page's tables without its plots."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from lakon.core import score_text as wording
from lakon.core.report_data import ModelCard, ReportData, Sentence
from lakon.render.blocks import (
    Figure,
    RowGroup,
    Section,
    ShowcasedProblem,
    Table,
    TableRow,
    escape_invisible,
    keep_unbroken,
    make_table,
)
from lakon.render.lookup import find_score, find_token_ratio, group_heading, list_benchmarks, list_cards
from lakon.render.outline import IN_WORDS, build_sections, describe_scope

EXCERPT = 1_500
"""Characters of one trace in the Markdown report; the page shows more."""


def render_markdown(data: ReportData) -> str:
    """The report as Markdown: the same sections, every figure as its table, traces as fenced excerpts."""
    return render_sections_as_markdown(data, build_sections(data), describe_scope(data))


def render_sections_as_markdown(data: ReportData, sections: tuple[Section, ...], scope: str) -> str:
    """Any sections as Markdown: of `data` it takes title, description, caveats, conclusions and the resolved study."""
    return "\n\n".join(block for block in _blocks(data, sections, scope) if block) + "\n"


def _blocks(data: ReportData, sections: tuple[Section, ...], scope: str) -> Iterator[str]:
    yield f"# {_inline(data.title)}"
    yield _inline(data.description)
    yield _inline(scope)
    if data.caveats:
        yield "## Limits of this study"
        yield "\n".join(f"- {_inline(caveat)}" for caveat in data.caveats)
    yield from _conclusions("Conclusions", [each for each in data.conclusions if not each.detail])
    for section in sections:
        yield f"## {_inline(section.title)}"
        yield _inline(" ".join(section.paragraphs))
        for part in section.parts:
            yield from _part(part)
    yield from _conclusions(IN_WORDS, [each for each in data.conclusions if each.detail])
    if data.resolved:
        yield "## The resolved study"
        yield _fenced(data.resolved, "json")


def _conclusions(title: str, sentences: list[Sentence]) -> Iterator[str]:
    if sentences:
        yield f"## {title}"
        yield "\n".join(f"- {_inline(sentence.text)}" for sentence in sentences)


def _part(part: Table | Figure | ShowcasedProblem) -> Iterator[str]:
    if isinstance(part, ShowcasedProblem):
        yield from _showcase(part)
    else:
        numbers = part.numbers if isinstance(part, Figure) else part
        yield f"**{_inline(numbers.caption)}**"
        yield _grid(numbers)
        yield _inline(numbers.note)


def _grid(numbers: Table) -> str:
    marks = [":--" if i < numbers.n_text else "--:" for i in range(len(numbers.columns))]
    lines = [_line(numbers.columns), "|" + "|".join(marks) + "|"]
    for group in numbers.groups:
        if group.heading:
            blanks = [""] * (len(numbers.columns) - 1)
            lines.append(_line((group.heading, *blanks), strong=True))
        lines.extend(_line(row.cells) for row in group.rows)
    return "\n".join(lines)


def _line(cells: tuple[str, ...], *, strong: bool = False) -> str:
    texts = [_inline(cell) for cell in cells]
    if strong:
        texts[0] = f"**{texts[0]}**"
    return "| " + " | ".join(texts) + " |"


def _showcase(showcase: ShowcasedProblem) -> Iterator[str]:
    yield f"### Problem {_inline(showcase.problem.problem_id[:12])}"
    yield _fenced(showcase.problem.prompt)
    yield f"Reference answer: {_inline(showcase.problem.reference)}"
    for trace in showcase.traces:
        yield f"**{_inline(trace.author)}**: {trace.mark}, {_inline(trace.facts)}"
        yield _fenced(_excerpt("\n\n".join(text for text in (trace.reasoning, trace.answer) if text)))


def _excerpt(text: str) -> str:
    if len(text) <= EXCERPT:
        return text
    return f"{text[:EXCERPT]}\n[{wording.format_count(len(text) - EXCERPT)} more characters are not shown]"


def _inline(text: str) -> str:
    """One line of Markdown in which nothing is markup."""
    line = " ".join(escape_invisible(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_|~])", r"\\\1", line)
    line = re.sub(r"\](?=[(\[:])", r"\]", line)  # no link can form, while the brackets of intervals stay readable
    line = line.replace("://", "&#58;//")
    return re.sub(r"^([#+-])", r"\\\1", line)


def _fenced(text: str, language: str = "") -> str:
    shown = escape_invisible(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def summary_lines(data: ReportData) -> list[str]:
    """For the terminal: the headline in wrapped sentences, then a small table for each benchmark."""
    lines = [line for sentence in data.conclusions if not sentence.detail for line in _bullet(sentence.text)]
    for name, n_problems in list_benchmarks(data):
        title = _plain(wording.benchmark_title(name))
        lines += ["", f"{title} ({wording.format_count(n_problems)} problems)", *_summary_table(data, name)]
    return lines


def _bullet(text: str) -> list[str]:
    whole = keep_unbroken(_plain(text))
    lines = textwrap.wrap(whole, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]


def _summary_table(data: ReportData, benchmark: str) -> list[str]:
    """One row for each author, by matching rule; only the first row of a group names the rule."""
    groups: dict[str, list[ModelCard]] = {}
    for card in list_cards(data, benchmark):
        groups.setdefault(group_heading(card), []).append(card)
    rows = tuple(
        TableRow(cells=_summary_cells(data, benchmark, card, first=card is members[0]))
        for members in groups.values()
        for card in members
    )
    columns = ("author", "matched by", "accuracy", "problems", "tokens", "of baseline")
    summary = make_table("", columns, [RowGroup(rows=rows)])
    if summary is None:
        return []
    return _aligned([summary.columns, *(row.cells for row in summary.groups[0].rows)])


def _summary_cells(data: ReportData, benchmark: str, card: ModelCard, *, first: bool) -> tuple[str, ...]:
    accuracy, tokens = (find_score(data, benchmark, card.label, metric) for metric in ("accuracy", "tokens"))
    ratio = find_token_ratio(data, benchmark, card.label)
    rule = _plain(card.match or "") if first else ""
    cost = wording.count_cell(tokens), wording.format_ratio(ratio.estimate) if ratio else ""
    own = accuracy is not None and accuracy.n_problems != dict(list_benchmarks(data))[benchmark]
    n_problems = (
        wording.format_count(accuracy.n_problems) if accuracy is not None and own else ""
    )  # others: as the heading says
    return (_plain(card.label), rule, wording.accuracy_cell(accuracy), n_problems, *cost)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_aligned_line(row, widths) for row in rows]


def _aligned_line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *others = row
    padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
    return "  ".join([first.ljust(widths[0]), *padded]).rstrip()


def _plain(text: str) -> str:
    return " ".join(escape_invisible(text).split())
