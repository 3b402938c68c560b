"""The figures: plotly specifications as plain values, each with the table of its numbers.

Colours are written as `var(--name)` and resolved by the page from its style sheet, so one figure serves light
and dark. Nothing is told by colour alone: match rules have their own symbols and dashes. Text that a study or
a model wrote is escaped before plotly sees it, because plotly reads a little markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from laconic.core.records import Loss, Score
from laconic.core.reporting import AuthorCard, ReportData
from laconic.render import formats
from laconic.render.accounts import is_ungraded, loss_table, outcome_names, outcomes_table
from laconic.render.blocks import Figure, Group, Row, table, visible
from laconic.render.lookup import benchmark_title, cards, find, of_metric, palette_slot

SYMBOLS = {"problems": "circle", "tokens": "square", "steps": "triangle-up"}
DASHES = {"problems": "solid", "tokens": "dash", "steps": "dot"}
CURVE_POINTS = 600
"""Points of one raw curve that a page carries."""

Spec = dict[str, Any]


def frontier(data: ReportData, benchmark: str) -> Figure | None:
    """Accuracy against tokens with both intervals; the symbol tells the match rule."""
    traces: list[Spec] = []
    rows: list[Row] = []
    for card in cards(data, benchmark):
        accuracy = find(data, benchmark, card.label, "accuracy")
        tokens = find(data, benchmark, card.label, "tokens")
        if accuracy is not None and tokens is not None and tokens.estimate > 0:
            traces.append(_frontier_trace(data, card, accuracy, tokens))
            cells = (card.label, formats.count_cell(tokens), formats.accuracy_cell(accuracy))
            rows.append(Row(cells=cells))
    caption = f"Accuracy against tokens a sample on {benchmark_title(benchmark)}"
    numbers = table(caption, ("author", "tokens a sample", "accuracy"), [Group(rows=tuple(rows))])
    if numbers is None:
        return None
    layout = _layout(
        xaxis=_log_axis("tokens a sample (log scale)", _spread(traces)),
        yaxis=_axis("accuracy", tickformat="~%"),
        hovermode="closest",
        meta={"labelled": True},
    )
    level = formats.percent(data.confidence, 0)
    note = f"{_legend_of_symbols(cards(data, benchmark))} Bars are {level} intervals."
    key = f"frontier-{benchmark}"
    return Figure(key=key, caption=caption, spec=_spec(traces, layout), numbers=numbers, note=note)


def _legend_of_symbols(authors: Sequence[AuthorCard]) -> str:
    shapes = {"circle": "circle", "square": "square", "triangle-up": "triangle", "hexagon": "hexagon"}
    named = dict.fromkeys(
        (_symbol(card), card.match) for card in authors if card.kind == "student" and card.match
    )
    words = [f"{shapes[symbol]}: arms matched by {rule}" for symbol, rule in named]
    words += ["open diamond: teacher"] if any(card.kind == "teacher" for card in authors) else []
    words += ["cross: the base before training"] if any(card.kind == "base" for card in authors) else []
    return f"{'; '.join(words).capitalize()}." if words else ""


def _frontier_trace(data: ReportData, card: AuthorCard, accuracy: Score, tokens: Score) -> Spec:
    colour = f"var(--series-{palette_slot(data, card)})"
    cells = f"{formats.accuracy_cell(accuracy)}, {formats.count_cell(tokens)} tokens"
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": _safe(card.label),
        "text": [_safe(card.label)],
        "textposition": "top left" if card.match in (None, "problems") else "bottom right",
        "textfont": {"color": colour},
        "cliponaxis": False,
        "x": [tokens.estimate],
        "y": [accuracy.estimate],
        "error_x": _error([tokens], colour),
        "error_y": _error([accuracy], colour),
        "marker": {
            "color": colour,
            "symbol": _symbol(card),
            "size": 10,
            "line": {"width": 2, "color": colour},
        },
        "hovertemplate": f"{_safe(card.label)}<br>{_safe(cells)}<extra></extra>",
    }


def budget(data: ReportData, benchmark: str) -> Figure | None:
    """Accuracy within a token budget: a sample counts when it is right and finished within the budget."""
    curves: dict[str, list[Score]] = {}
    for score in of_metric(data, benchmark, "accuracy_within_budget"):
        if score.at is not None and score.at > 0 and score.group is None:
            curves.setdefault(score.author, []).append(score)
    traces: list[Spec] = []
    for card in cards(data, benchmark):
        curve = sorted(curves.get(card.label, []), key=lambda score: score.at or 0.0)
        traces.extend(_band_and_line(data, card, [score.at for score in curve], curve) if curve else [])
    budgets = sorted({score.at for curve in curves.values() for score in curve if score.at is not None})
    groups = [_by_position(curves, _thinned(budgets, 24))]
    caption = f"Accuracy within a token budget on {benchmark_title(benchmark)}"
    numbers = table(caption, ("budget, tokens", *curves), groups, note="Brackets are simultaneous bands.")
    if numbers is None:
        return None
    layout = _layout(
        xaxis=_log_axis("token budget (log scale)", _spread(traces)),
        yaxis=_axis("accuracy within the budget", tickformat="~%", rangemode="tozero"),
    )
    return Figure(key=f"budget-{benchmark}", caption=caption, spec=_spec(traces, layout), numbers=numbers)


def _by_position(curves: dict[str, list[Score]], positions: Sequence[float]) -> Group:
    at = {(author, score.at): score for author, curve in curves.items() for score in curve}
    rows = tuple(
        Row(cells=(formats.count(x), *(formats.accuracy_cell(at.get((author, x))) for author in curves)))
        for x in positions
    )
    return Group(rows=rows)


def by_tag(data: ReportData, benchmark: str) -> list[Figure]:
    """Accuracy by group, one figure for each tag name, such as `steps`."""
    scores = [score for score in of_metric(data, benchmark, "accuracy") if score.group is not None]
    names = dict.fromkeys(_tag(score)[0] for score in scores)
    figures = [_tag_figure(data, benchmark, name, scores) for name in names]
    return [figure for figure in figures if figure is not None]


def _tag_figure(data: ReportData, benchmark: str, name: str, scores: list[Score]) -> Figure | None:
    mine = [score for score in scores if _tag(score)[0] == name]
    values = sorted({_tag(score)[1] for score in mine}, key=_natural)
    at = {(score.author, _tag(score)[1]): score for score in mine}
    authors = [card for card in cards(data, benchmark) if any((card.label, value) in at for value in values)]
    traces: list[Spec] = []
    for place, card in enumerate(authors):
        shift = (
            0.4 * (place - (len(authors) - 1) / 2) / len(authors)
        )  # side by side, so that no bar hides another
        points = [
            (i + shift, value, at[card.label, value])
            for i, value in enumerate(values)
            if (card.label, value) in at
        ]
        traces.append(_tag_trace(data, card, points))
    cells = [
        (card.label, *(formats.accuracy_cell(at.get((card.label, v))) for v in values)) for card in authors
    ]
    caption = f"Accuracy by {name or 'group'} on {benchmark_title(benchmark)}"
    names = ("author", *(f"{name}={value}" if name else value for value in values))
    numbers = table(caption, names, [Group(rows=tuple(Row(cells=each) for each in cells))])
    if numbers is None:
        return None
    ticks = {"tickvals": list(range(len(values))), "ticktext": [_safe(value) for value in values]}
    xaxis = _axis(name, **ticks, range=[-0.5, len(values) - 0.5])
    layout = _layout(
        xaxis=xaxis, yaxis=_axis("accuracy", tickformat="~%", rangemode="tozero"), hovermode="closest"
    )
    return Figure(key=f"tag-{name}-{benchmark}", caption=caption, spec=_spec(traces, layout), numbers=numbers)


def _tag_trace(data: ReportData, card: AuthorCard, points: list[tuple[float, str, Score]]) -> Spec:
    colour = f"var(--series-{palette_slot(data, card)})"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": _safe(card.label),
        "x": [x for x, _, _ in points],
        "y": [_number(score.estimate) for _, _, score in points],
        "text": [f"{_safe(value)}: {_safe(formats.accuracy_cell(score))}" for _, value, score in points],
        "error_y": _error([score for _, _, score in points], colour),
        "line": {"color": colour, "width": 2, "dash": _dash(card)},
        "marker": {"color": colour, "symbol": _symbol(card), "size": 7},
        "hovertemplate": "%{text}",
    }


def losses(data: ReportData) -> Figure | None:
    """Training loss on a log axis: each run raw (faint) and smoothed."""
    numbers = loss_table(data)
    if numbers is None:
        return None
    by_tokens = all(loss.n_tokens > 0 for curve in data.losses.values() for loss in curve)
    known = {card.label: card for card in cards(data)}
    traces: list[Spec] = []
    for label, curve in data.losses.items():
        card = known.get(label.rsplit("#", 1)[0]) or AuthorCard(label=label, kind="author")
        traces.extend(_loss_traces(data, card, label, curve, by_tokens=by_tokens))
    layout = _layout(
        xaxis=_axis("tokens trained on" if by_tokens else "steps", rangemode="tozero"),
        yaxis=_axis("training loss (log scale)", type="log", dtick="D2", tickformat="~g"),
    )
    return Figure(key="losses", caption="Training loss", spec=_spec(traces, layout), numbers=numbers)


def _loss_traces(
    data: ReportData, card: AuthorCard, label: str, curve: Sequence[Loss], *, by_tokens: bool
) -> list[Spec]:
    kept = [loss for loss in curve if math.isfinite(loss.loss) and loss.loss > 0]
    if not kept:
        return []
    xs = [loss.n_tokens if by_tokens else loss.step for loss in kept]
    smooth = _smoothed([loss.loss for loss in kept])
    index = _thinned(range(len(kept)), CURVE_POINTS)
    slot = palette_slot(data, card) if any(each.label == card.label for each in cards(data)) else 7
    shared: Spec = {"type": "scatter", "mode": "lines", "name": _safe(label), "legendgroup": _safe(label)}
    raw: Spec = {
        **shared,
        "x": [xs[i] for i in index],
        "y": [kept[i].loss for i in index],
        "line": {"color": f"var(--series-{slot}-band)", "width": 1},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    line: Spec = {
        **shared,
        "x": [xs[i] for i in index],
        "y": [smooth[i] for i in index],
        "line": {"color": f"var(--series-{slot})", "width": 2, "dash": _dash(card)},
        "hovertemplate": "%{y:.3f}",
    }
    return [raw, line]


def _smoothed(values: list[float]) -> list[float]:
    """Centred running mean over a twentieth of the curve, on the log scale on which it is drawn."""
    half = max(1, len(values) // 40)
    logs = [math.log(value) for value in values]
    sums = [0.0]
    for value in logs:
        sums.append(sums[-1] + value)
    bounds = [(max(0, i - half), min(len(logs), i + half + 1)) for i in range(len(logs))]
    return [math.exp((sums[stop] - sums[start]) / (stop - start)) for start, stop in bounds]


def outcomes(data: ReportData) -> Figure | None:
    """Shares of outcomes for each author and benchmark, stacked, the ungraded ones hatched and last."""
    numbers = outcomes_table(data)
    names = outcome_names(data)
    rows = {who: counts for who, counts in data.outcomes.items() if sum(counts.values())}
    if numbers is None or not rows:
        return None
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": f"{_safe(name)} (not graded)" if is_ungraded(name) else _safe(name),
            "y": [_safe(who) for who in rows],
            "x": [counts.get(name, 0) / sum(counts.values()) for counts in rows.values()],
            "customdata": [counts.get(name, 0) for counts in rows.values()],
            "marker": _outcome_marker(name),
            "hovertemplate": f"{_safe(name)}: %{{customdata:,}} (%{{x:.1%}})<extra></extra>",
        }
        for name in names
    ]
    layout = _layout(
        xaxis=_axis("share of samples", tickformat="~%", range=[0, 1]),
        yaxis=_axis("", autorange="reversed", type="category"),
        barmode="stack",
        bargap=0.35,
        hovermode="closest",
        height=150 + 34 * len(rows),
    )
    return Figure(
        key="outcomes", caption="Outcomes of all samples", spec=_spec(traces, layout), numbers=numbers
    )


def _outcome_marker(name: str) -> Spec:
    colour = f"var(--outcome-{name})" if name in _OUTCOME_SHAPES else "var(--muted)"
    shape = _OUTCOME_SHAPES.get(name, "x")
    pattern = {"shape": shape, "bgcolor": colour, "fgcolor": "var(--paper)", "size": 7, "solidity": 0.25}
    return {"color": colour, "line": {"color": "var(--paper)", "width": 1}, "pattern": pattern}


_OUTCOME_SHAPES = {
    "correct": "",
    "incorrect": "",
    "truncated": "-",
    "refused": "|",
    "unparsed": "/",
    "timeout": "\\",
    "error": "x",
}


def _band_and_line(
    data: ReportData, card: AuthorCard, xs: Sequence[float | None], curve: Sequence[Score]
) -> list[Spec]:
    colour = f"var(--series-{palette_slot(data, card)}"
    name = _safe(card.label)
    line: Spec = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x": list(xs),
        "y": [_number(score.estimate) for score in curve],
        "line": {"color": f"{colour})", "width": 2, "dash": _dash(card)},
        "hovertemplate": "%{y:.1%}",
    }
    banded = [
        (x, score)
        for x, score in zip(xs, curve, strict=True)
        if score.low is not None and score.high is not None
    ]
    if not banded:
        return [line]
    band: Spec = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x": [x for x, _ in banded] + [x for x, _ in reversed(banded)],
        "y": [_number(score.high) for _, score in banded]
        + [_number(score.low) for _, score in reversed(banded)],
        "fill": "toself",
        "fillcolor": f"{colour}-band)",
        "line": {"width": 0},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [band, line]


def _symbol(card: AuthorCard) -> str:
    if card.kind == "teacher":
        return "diamond-open"
    return "x-thin-open" if card.kind == "base" else SYMBOLS.get(card.match or "problems", "hexagon")


def _dash(card: AuthorCard) -> str:
    return "dashdot" if card.kind == "teacher" else DASHES.get(card.match or "problems", "longdash")


def _error(scores: Sequence[Score], colour: str) -> Spec:
    return {
        "type": "data",
        "symmetric": False,
        "array": [_reach(score.high, score.estimate) for score in scores],
        "arrayminus": [_reach(score.estimate, score.low) for score in scores],
        "thickness": 1.2,
        "width": 3,
        "color": colour,
    }


def _reach(upper: float | None, lower: float | None) -> float:
    if upper is None or lower is None or not math.isfinite(upper - lower):
        return 0.0
    return max(0.0, upper - lower)


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _tag(score: Score) -> tuple[str, str]:
    name, found, value = (score.group or "").partition("=")
    return (name, value) if found else ("", name)


def _natural(value: str) -> tuple[bool, float, str]:
    try:
        return (False, float(value), value)
    except ValueError:
        return (True, 0.0, value)


def _thinned(values: Sequence[Any], limit: int) -> list[Any]:
    if len(values) <= limit:
        return list(values)
    return [values[round(i * (len(values) - 1) / (limit - 1))] for i in range(limit)]


def _safe(text: str) -> str:
    return escape(visible(text), quote=False).replace("%{", "%\u200b{").replace("\n", " ")


def _spec(traces: list[Spec], layout: Spec) -> Spec:
    return {"data": traces, "layout": layout}


def _axis(title: str, **more: Any) -> Spec:
    heading = {"text": _safe(title), "standoff": 8, "font": {"size": 13}}
    grid = {"gridcolor": "var(--grid)", "linecolor": "var(--rule)", "zeroline": False, "automargin": True}
    return {"title": heading, "ticks": "outside", "tickcolor": "var(--rule)", **grid, **more}


def _log_axis(title: str, values: list[float]) -> Spec:
    """A log axis with a little room at both ends and ticks that people read: 100, 200, 500, 1,000."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.12, (high - low) * 0.08)
    dtick: Any = "D2" if high - low < 2.2 else 1
    return _axis(title, type="log", range=[low - room, high + room], dtick=dtick, tickformat=",~r")


def _spread(traces: list[Spec]) -> list[float]:
    values: list[float] = []
    for trace in traces:
        xs = [x for x in trace["x"] if isinstance(x, int | float) and x > 0]
        error: Spec = trace.get("error_x") or {}
        values += xs + [x + up for x, up in zip(xs, error.get("array", []), strict=False)]
        values += [x - down for x, down in zip(xs, error.get("arrayminus", []), strict=False) if x > down]
    return values or [1.0]


def _layout(**more: Any) -> Spec:
    font = {"family": "var(--sans)", "size": 13, "color": "var(--ink)"}
    return {
        "font": font,
        "height": 400,
        "margin": {"l": 56, "r": 14, "t": 14, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "var(--paper)", "bordercolor": "var(--rule)", "font": font},
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "font": font,
            "traceorder": "normal",
        },
        **more,
    }
