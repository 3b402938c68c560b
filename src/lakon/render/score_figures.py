"""The figures about scores: plotly specifications as plain values, each with the table of its numbers.

Colours are written as `var(--name)` and resolved by the page from its style sheet, so one figure serves light and dark.
Colour is never the only mark: matching rules have their own symbols and dashes. Where many curves would hide one
another behind their intervals, only the table has the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lakon.core import score_text as wording
from lakon.core.records import Score
from lakon.core.report_data import ModelCard, ReportData
from lakon.core.score_text import benchmark_title
from lakon.render.axes import (
    ROOM,
    PlotSpec,
    error_bars,
    escape_text,
    evenly_spaced,
    finite_or_none,
    line_dash,
    make_axis,
    make_layout,
    make_log_axis,
    make_plot,
    marker_symbol,
    x_positions,
)
from lakon.render.blocks import Figure, RowGroup, TableRow, make_table
from lakon.render.lookup import find_score, list_cards, palette_slot, scores_of_metric

BANDS = 4
"""Curves whose intervals one figure can show before they hide one another."""
CROWDED = "The intervals of so many curves would hide one another; see the numbers of this figure."


def frontier_figure(data: ReportData, benchmark: str) -> Figure | None:
    """Accuracy against tokens with both intervals; the symbol tells the match rule."""
    traces: list[PlotSpec] = []
    rows: list[TableRow] = []
    for card in list_cards(data, benchmark):
        accuracy = find_score(data, benchmark, card.label, "accuracy")
        tokens = find_score(data, benchmark, card.label, "tokens")
        if accuracy is not None and tokens is not None and tokens.estimate > 0:
            traces.append(_frontier_trace(data, card, accuracy, tokens))
            cells = (card.label, wording.count_cell(tokens), wording.accuracy_cell(accuracy))
            rows.append(TableRow(cells=cells))
    caption = f"Accuracy against tokens a sample on {benchmark_title(benchmark)}"
    numbers = make_table(caption, ("author", "tokens a sample", "accuracy"), [RowGroup(rows=tuple(rows))])
    if numbers is None:
        return None
    layout = make_layout(
        len(traces),
        xaxis=make_log_axis("tokens a sample (log scale)", x_positions(traces)),
        yaxis=make_axis("accuracy", tickformat="~%"),
        hovermode="closest",
    )
    if _apart(traces):
        layout["meta"]["labelled"] = True
    else:
        traces = [{**trace, "mode": "markers"} for trace in traces]
        layout["showlegend"] = True
    level = wording.format_percent(data.confidence, 0)
    note = f"{_legend_of_symbols(list_cards(data, benchmark))} Bars are {level} intervals."
    key = f"frontier-{benchmark}"
    return Figure(key=key, caption=caption, spec=make_plot(traces, layout), numbers=numbers, note=note)


def _apart(traces: Sequence[PlotSpec]) -> bool:
    """Whether names beside the points stay readable: no two points of one figure within a name's reach."""
    xs = x_positions(list(traces))
    width = math.log10(max(xs) / min(xs)) + 2 * ROOM
    ys = [trace["y"][0] + way for trace in traces for way in _reaches(trace)]
    height = (max(ys) - min(ys)) or 1.0
    places = [(math.log10(trace["x"][0]) / width, trace["y"][0] / height) for trace in traces]
    return all(abs(a[0] - b[0]) > 0.15 or abs(a[1] - b[1]) > 0.08 for i, a in enumerate(places) for b in places[:i])


def _reaches(trace: PlotSpec) -> tuple[float, float]:
    return -trace["error_y"]["arrayminus"][0], trace["error_y"]["array"][0]


def _legend_of_symbols(authors: Sequence[ModelCard]) -> str:
    shapes = {"circle": "circle", "square": "square", "triangle-up": "triangle", "hexagon": "hexagon"}
    named = dict.fromkeys(
        (marker_symbol(card), card.match) for card in authors if card.kind == "student" and card.match
    )
    words = [f"{shapes[symbol]}: arms matched by {rule}" for symbol, rule in named]
    words += ["open diamond: teacher"] if any(card.kind == "teacher" for card in authors) else []
    words += ["cross: the base before training"] if any(card.kind == "base" for card in authors) else []
    return f"{'; '.join(words).capitalize()}." if words else ""


def _frontier_trace(data: ReportData, card: ModelCard, accuracy: Score, tokens: Score) -> PlotSpec:
    colour = f"var(--series-{palette_slot(data, card)})"
    cells = f"{wording.accuracy_cell(accuracy)}, {wording.count_cell(tokens)} tokens"
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": escape_text(card.label),
        "text": [escape_text(card.label)],
        "textposition": "top left" if card.match in (None, "problems") else "bottom right",
        "textfont": {"color": colour},
        "cliponaxis": False,
        "x": [tokens.estimate],
        "y": [accuracy.estimate],
        "error_x": error_bars([tokens], colour),
        "error_y": error_bars([accuracy], colour),
        "marker": {
            "color": colour,
            "symbol": marker_symbol(card),
            "size": 10,
            "line": {"width": 2, "color": colour},
        },
        "hovertemplate": f"{escape_text(card.label)}<br>{escape_text(cells)}<extra></extra>",
    }


def budget_figure(data: ReportData, benchmark: str) -> Figure | None:
    """Accuracy within a token budget: a sample counts when it is right and finished within the budget."""
    curves: dict[str, list[Score]] = {}
    for score in scores_of_metric(data, benchmark, "accuracy_within_budget"):
        if score.at is not None and score.at > 0 and score.group is None:
            curves.setdefault(score.author, []).append(score)
    traces: list[PlotSpec] = []
    for card in list_cards(data, benchmark):
        curve = sorted(curves.get(card.label, []), key=lambda score: score.at or 0.0)
        traces.extend(_curve(data, card, curve, banded=len(curves) <= BANDS) if curve else [])
    budgets = sorted({score.at for curve in curves.values() for score in curve if score.at is not None})
    groups = [_by_position(curves, evenly_spaced(budgets, 24))]
    caption = f"Accuracy within a token budget on {benchmark_title(benchmark)}"
    numbers = make_table(caption, ("budget, tokens", *curves), groups, note="Brackets are simultaneous bands.")
    if numbers is None:
        return None
    # Budgets within which no author has finished yet would only push the curves to the margin.
    reached = [s.at for curve in curves.values() for s in curve if s.at and s.estimate > 0]
    layout = make_layout(
        len(curves),
        xaxis=make_log_axis("token budget (log scale)", [*reached, max(x_positions(traces))]),
        yaxis=make_axis("accuracy within the budget", tickformat="~%", rangemode="tozero"),
    )
    note = "" if len(curves) <= BANDS else CROWDED
    return Figure(
        key=f"budget-{benchmark}", caption=caption, spec=make_plot(traces, layout), numbers=numbers, note=note
    )


def _by_position(curves: dict[str, list[Score]], positions: Sequence[float]) -> RowGroup:
    at = {(author, score.at): score for author, curve in curves.items() for score in curve}
    rows: list[TableRow] = []
    for x in positions:
        cells = [wording.accuracy_cell(at.get((author, x))) for author in curves]
        rows.append(TableRow(cells=(wording.format_count(x), *cells)))
    return RowGroup(rows=tuple(rows))


def tag_figures(data: ReportData, benchmark: str) -> list[Figure]:
    """Accuracy by group, one figure for each tag name, such as `steps`."""
    scores = [score for score in scores_of_metric(data, benchmark, "accuracy") if score.group is not None]
    names = dict.fromkeys(_tag(score)[0] for score in scores)
    figures = [_tag_figure(data, benchmark, name, scores) for name in names]
    return [figure for figure in figures if figure is not None]


def _tag_figure(data: ReportData, benchmark: str, name: str, scores: list[Score]) -> Figure | None:
    tagged = [score for score in scores if _tag(score)[0] == name]
    values = sorted({_tag(score)[1] for score in tagged}, key=_natural)
    at = {(score.author, _tag(score)[1]): score for score in tagged}
    scored = {score.author for score in tagged}
    authors = [card for card in list_cards(data, benchmark) if card.label in scored]
    traces: list[PlotSpec] = []
    barred = len(authors) <= BANDS
    for place, card in enumerate(authors):
        # Side by side, so that no bar hides another.
        shift = 0.4 * (place - (len(authors) - 1) / 2) / len(authors)
        points = [
            (i + shift, value, at[card.label, value]) for i, value in enumerate(values) if (card.label, value) in at
        ]
        traces.append(_tag_trace(data, card, points, barred=barred))
    rows: list[TableRow] = []
    for card in authors:
        cells = [wording.accuracy_cell(at.get((card.label, value))) for value in values]
        rows.append(TableRow(cells=(card.label, *cells)))
    caption = f"Accuracy by {name or 'group'} on {benchmark_title(benchmark)}"
    names = ("author", *(f"{name}={value}" if name else value for value in values))
    numbers = make_table(caption, names, [RowGroup(rows=tuple(rows))])
    if numbers is None:
        return None
    ticks = {"tickvals": list(range(len(values))), "ticktext": [escape_text(value) for value in values]}
    xaxis = make_axis(name, **ticks, range=[-0.5, len(values) - 0.5])
    yaxis = make_axis("accuracy", tickformat="~%", rangemode="tozero")
    layout = make_layout(len(authors), xaxis=xaxis, yaxis=yaxis, hovermode="closest")
    key, note = f"tag-{name}-{benchmark}", "" if barred else CROWDED
    return Figure(key=key, caption=caption, spec=make_plot(traces, layout), numbers=numbers, note=note)


def _tag_trace(data: ReportData, card: ModelCard, points: list[tuple[float, str, Score]], *, barred: bool) -> PlotSpec:
    colour = f"var(--series-{palette_slot(data, card)})"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape_text(card.label),
        "x": [x for x, _, _ in points],
        "y": [finite_or_none(score.estimate) for _, _, score in points],
        "text": [f"{escape_text(value)}: {escape_text(wording.accuracy_cell(score))}" for _, value, score in points],
        "error_y": error_bars([score for _, _, score in points], colour) if barred else {"visible": False},
        "line": {"color": colour, "width": 2, "dash": line_dash(card)},
        "marker": {"color": colour, "symbol": marker_symbol(card), "size": 7},
        "hovertemplate": "%{text}",
    }


def _curve(data: ReportData, card: ModelCard, curve: Sequence[Score], *, banded: bool) -> list[PlotSpec]:
    """A curve and, where there are few of them, its band."""
    colour = f"var(--series-{palette_slot(data, card)}"
    name = escape_text(card.label)
    line: PlotSpec = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x": [score.at for score in curve],
        "y": [finite_or_none(score.estimate) for score in curve],
        "line": {"color": f"{colour})", "width": 2, "dash": line_dash(card)},
        "hovertemplate": "%{y:.1%}",
    }
    bounded = [score for score in curve if score.low is not None and score.high is not None]
    if not banded or not bounded:
        return [line]
    band: PlotSpec = {
        **line,
        "x": [score.at for score in [*bounded, *reversed(bounded)]],
        "y": [finite_or_none(s.high) for s in bounded] + [finite_or_none(s.low) for s in reversed(bounded)],
        "fill": "toself",
        "fillcolor": f"{colour}-band)",
        "line": {"width": 0},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [band, line]


def _tag(score: Score) -> tuple[str, str]:
    name, equals, value = (score.group or "").partition("=")
    return (name, value) if equals else ("", name)


def _natural(value: str) -> tuple[bool, float, str]:
    try:
        return (False, float(value), value)
    except ValueError:
        return (True, 0.0, value)
