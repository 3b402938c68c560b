"""The figures: plotly specifications as plain values, each with the table of its numbers.

Colours are written as `var(--name)` and resolved by the page from its style sheet, so one figure serves light
and dark. Nothing is told by colour alone: match rules have their own symbols and dashes. Where many
curves would bury one another under their intervals, the intervals stand in the table alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lakon.core import score_text as wording
from lakon.core.records import Loss, Score
from lakon.core.report_data import AuthorCard, ReportData
from lakon.core.score_text import benchmark_title
from lakon.render.accounts import is_ungraded, loss_table, outcome_names, outcomes_table
from lakon.render.axes import ROOM, Spec, axis, dash, error, layout, log_axis, number, safe, spec, spread, symbol
from lakon.render.blocks import Figure, Group, Row, table
from lakon.render.lookup import cards, find, of_metric, palette_slot, twin_note

BANDS = 4
"""Curves whose intervals one figure can carry before they bury one another."""
CROWDED = "The intervals of so many curves would hide one another; they stand in the numbers of this figure."
CURVE_POINTS = 600
"""Points of one raw curve that a page carries."""


def frontier(data: ReportData, benchmark: str) -> Figure | None:
    """Accuracy against tokens with both intervals; the symbol tells the match rule."""
    traces: list[Spec] = []
    rows: list[Row] = []
    for card in cards(data, benchmark):
        accuracy = find(data, benchmark, card.label, "accuracy")
        tokens = find(data, benchmark, card.label, "tokens")
        if accuracy is not None and tokens is not None and tokens.estimate > 0:
            traces.append(_frontier_trace(data, card, accuracy, tokens))
            cells = (card.label, wording.count_cell(tokens), wording.accuracy_cell(accuracy))
            rows.append(Row(cells=cells))
    caption = f"Accuracy against tokens a sample on {benchmark_title(benchmark)}"
    numbers = table(caption, ("author", "tokens a sample", "accuracy"), [Group(rows=tuple(rows))])
    if numbers is None:
        return None
    drawn = layout(
        len(traces),
        xaxis=log_axis("tokens a sample (log scale)", spread(traces)),
        yaxis=axis("accuracy", tickformat="~%"),
        hovermode="closest",
    )
    if _apart(traces):
        drawn["meta"]["labelled"] = True
    else:
        traces = [{**trace, "mode": "markers"} for trace in traces]
        drawn["showlegend"] = True
    level = wording.percent(data.confidence, 0)
    note = f"{_legend_of_symbols(cards(data, benchmark))} Bars are {level} intervals."
    key = f"frontier-{benchmark}"
    return Figure(key=key, caption=caption, spec=spec(traces, drawn), numbers=numbers, note=note)


def _apart(traces: Sequence[Spec]) -> bool:
    """Whether names beside the points stay readable: no two points of one figure within a name's reach."""
    xs = spread(list(traces))
    width = math.log10(max(xs) / min(xs)) + 2 * ROOM
    ys = [trace["y"][0] + way for trace in traces for way in _reaches(trace)]
    height = (max(ys) - min(ys)) or 1.0
    places = [(math.log10(trace["x"][0]) / width, trace["y"][0] / height) for trace in traces]
    return all(abs(a[0] - b[0]) > 0.15 or abs(a[1] - b[1]) > 0.08 for i, a in enumerate(places) for b in places[:i])


def _reaches(trace: Spec) -> tuple[float, float]:
    return -trace["error_y"]["arrayminus"][0], trace["error_y"]["array"][0]


def _legend_of_symbols(authors: Sequence[AuthorCard]) -> str:
    shapes = {"circle": "circle", "square": "square", "triangle-up": "triangle", "hexagon": "hexagon"}
    named = dict.fromkeys((symbol(card), card.match) for card in authors if card.kind == "student" and card.match)
    words = [f"{shapes[symbol]}: arms matched by {rule}" for symbol, rule in named]
    words += ["open diamond: teacher"] if any(card.kind == "teacher" for card in authors) else []
    words += ["cross: the base before training"] if any(card.kind == "base" for card in authors) else []
    return f"{'; '.join(words).capitalize()}." if words else ""


def _frontier_trace(data: ReportData, card: AuthorCard, accuracy: Score, tokens: Score) -> Spec:
    colour = f"var(--series-{palette_slot(data, card)})"
    cells = f"{wording.accuracy_cell(accuracy)}, {wording.count_cell(tokens)} tokens"
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": safe(card.label),
        "text": [safe(card.label)],
        "textposition": "top left" if card.match in (None, "problems") else "bottom right",
        "textfont": {"color": colour},
        "cliponaxis": False,
        "x": [tokens.estimate],
        "y": [accuracy.estimate],
        "error_x": error([tokens], colour),
        "error_y": error([accuracy], colour),
        "marker": {
            "color": colour,
            "symbol": symbol(card),
            "size": 10,
            "line": {"width": 2, "color": colour},
        },
        "hovertemplate": f"{safe(card.label)}<br>{safe(cells)}<extra></extra>",
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
        traces.extend(_curve(data, card, curve, banded=len(curves) <= BANDS) if curve else [])
    budgets = sorted({score.at for curve in curves.values() for score in curve if score.at is not None})
    groups = [_by_position(curves, _thinned(budgets, 24))]
    caption = f"Accuracy within a token budget on {benchmark_title(benchmark)}"
    numbers = table(caption, ("budget, tokens", *curves), groups, note="Brackets are simultaneous bands.")
    if numbers is None:
        return None
    # budgets within which nobody has finished yet would only push the curves to the margin
    reached = [x for curve in curves.values() for x in [s.at for s in curve if s.at and s.estimate > 0]]
    drawn = layout(
        len(curves),
        xaxis=log_axis("token budget (log scale)", [*reached, max(spread(traces))]),
        yaxis=axis("accuracy within the budget", tickformat="~%", rangemode="tozero"),
    )
    note = "" if len(curves) <= BANDS else CROWDED
    return Figure(key=f"budget-{benchmark}", caption=caption, spec=spec(traces, drawn), numbers=numbers, note=note)


def _by_position(curves: dict[str, list[Score]], positions: Sequence[float]) -> Group:
    at = {(author, score.at): score for author, curve in curves.items() for score in curve}
    rows = tuple(
        Row(cells=(wording.count(x), *(wording.accuracy_cell(at.get((author, x))) for author in curves)))
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
    barred = len(authors) <= BANDS
    for place, card in enumerate(authors):
        # side by side, so that no bar hides another
        shift = 0.4 * (place - (len(authors) - 1) / 2) / len(authors)
        points = [
            (i + shift, value, at[card.label, value]) for i, value in enumerate(values) if (card.label, value) in at
        ]
        traces.append(_tag_trace(data, card, points, barred=barred))
    cells = [(card.label, *(wording.accuracy_cell(at.get((card.label, v))) for v in values)) for card in authors]
    caption = f"Accuracy by {name or 'group'} on {benchmark_title(benchmark)}"
    names = ("author", *(f"{name}={value}" if name else value for value in values))
    numbers = table(caption, names, [Group(rows=tuple(Row(cells=each) for each in cells))])
    if numbers is None:
        return None
    ticks = {"tickvals": list(range(len(values))), "ticktext": [safe(value) for value in values]}
    xaxis = axis(name, **ticks, range=[-0.5, len(values) - 0.5])
    yaxis = axis("accuracy", tickformat="~%", rangemode="tozero")
    drawn = layout(len(authors), xaxis=xaxis, yaxis=yaxis, hovermode="closest")
    key, note = f"tag-{name}-{benchmark}", "" if barred else CROWDED
    return Figure(key=key, caption=caption, spec=spec(traces, drawn), numbers=numbers, note=note)


def _tag_trace(data: ReportData, card: AuthorCard, points: list[tuple[float, str, Score]], *, barred: bool) -> Spec:
    colour = f"var(--series-{palette_slot(data, card)})"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": safe(card.label),
        "x": [x for x, _, _ in points],
        "y": [number(score.estimate) for _, _, score in points],
        "text": [f"{safe(value)}: {safe(wording.accuracy_cell(score))}" for _, value, score in points],
        "error_y": error([score for _, _, score in points], colour) if barred else {"visible": False},
        "line": {"color": colour, "width": 2, "dash": dash(card)},
        "marker": {"color": colour, "symbol": symbol(card), "size": 7},
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
    drawn = layout(
        len(data.losses),
        xaxis=axis("tokens trained on" if by_tokens else "steps", rangemode="tozero"),
        yaxis=axis("training loss (log scale)", type="log", dtick="D2", tickformat="~g"),
    )
    return Figure(
        key="losses", caption="Training loss", spec=spec(traces, drawn), numbers=numbers, note=twin_note(data)
    )


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
    shared: Spec = {"type": "scatter", "mode": "lines", "name": safe(label), "legendgroup": safe(label)}
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
        "line": {"color": f"var(--series-{slot})", "width": 2, "dash": dash(card)},
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
            "name": f"{safe(name)} (not graded)" if is_ungraded(name) else safe(name),
            "y": [safe(who) for who in rows],
            "x": [counts.get(name, 0) / sum(counts.values()) for counts in rows.values()],
            "customdata": [counts.get(name, 0) for counts in rows.values()],
            "marker": _outcome_marker(name),
            "hovertemplate": f"{safe(name)}: %{{customdata:,}} (%{{x:.1%}})<extra></extra>",
        }
        for name in names
    ]
    drawn = layout(
        len(names),
        xaxis=axis("share of samples", tickformat="~%", range=[0, 1]),
        yaxis=axis("", autorange="reversed", type="category"),
        barmode="stack",
        bargap=0.35,
        hovermode="closest",
        height=150 + (34 if len(rows) < 12 else 24) * len(rows),
        margin={"l": 56, "r": 28, "t": 14, "b": 48},
    )
    return Figure(key="outcomes", caption="Outcomes of all samples", spec=spec(traces, drawn), numbers=numbers)


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


def _curve(data: ReportData, card: AuthorCard, curve: Sequence[Score], *, banded: bool) -> list[Spec]:
    """A curve and, where there are few of them, its band."""
    colour = f"var(--series-{palette_slot(data, card)}"
    name = safe(card.label)
    line: Spec = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x": [score.at for score in curve],
        "y": [number(score.estimate) for score in curve],
        "line": {"color": f"{colour})", "width": 2, "dash": dash(card)},
        "hovertemplate": "%{y:.1%}",
    }
    bounded = [score for score in curve if score.low is not None and score.high is not None]
    if not banded or not bounded:
        return [line]
    band: Spec = {
        **line,
        "x": [score.at for score in [*bounded, *reversed(bounded)]],
        "y": [number(s.high) for s in bounded] + [number(s.low) for s in reversed(bounded)],
        "fill": "toself",
        "fillcolor": f"{colour}-band)",
        "line": {"width": 0},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [band, line]


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
