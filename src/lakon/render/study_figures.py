"""The figures about the study itself: training loss and outcomes, each with the table of its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lakon.core.records import Loss
from lakon.core.report_data import ModelCard, ReportData
from lakon.render.axes import (
    PlotSpec,
    escape_text,
    evenly_spaced,
    line_dash,
    make_axis,
    make_layout,
    make_plot,
)
from lakon.render.blocks import Figure
from lakon.render.lookup import list_cards, palette_slot, twin_note
from lakon.render.study_tables import is_ungraded, loss_table, outcome_names, outcomes_table

CURVE_POINTS = 600
"""Points of one raw curve that a page carries."""


def loss_figure(data: ReportData) -> Figure | None:
    """Training loss on a log axis: each run raw (faint) and smoothed."""
    numbers = loss_table(data)
    if numbers is None:
        return None
    by_tokens = all(loss.n_tokens > 0 for curve in data.losses.values() for loss in curve)
    cards = {card.label: card for card in list_cards(data)}
    traces: list[PlotSpec] = []
    for label, curve in data.losses.items():
        card = cards.get(label.rsplit("#", 1)[0]) or ModelCard(label=label, kind="author")
        traces.extend(_loss_traces(data, card, label, curve, by_tokens=by_tokens))
    layout = make_layout(
        len(data.losses),
        xaxis=make_axis("tokens trained on" if by_tokens else "steps", rangemode="tozero"),
        yaxis=make_axis("training loss (log scale)", type="log", dtick="D2", tickformat="~g"),
    )
    return Figure(
        key="losses", caption="Training loss", spec=make_plot(traces, layout), numbers=numbers, note=twin_note(data)
    )


def _loss_traces(
    data: ReportData, card: ModelCard, label: str, curve: Sequence[Loss], *, by_tokens: bool
) -> list[PlotSpec]:
    points = [loss for loss in curve if math.isfinite(loss.loss) and loss.loss > 0]
    if not points:
        return []
    xs = [loss.n_tokens if by_tokens else loss.step for loss in points]
    smooth = _smoothed([loss.loss for loss in points])
    index = evenly_spaced(range(len(points)), CURVE_POINTS)
    slot = palette_slot(data, card) if any(each.label == card.label for each in list_cards(data)) else 7
    shared: PlotSpec = {
        "type": "scatter",
        "mode": "lines",
        "name": escape_text(label),
        "legendgroup": escape_text(label),
    }
    raw: PlotSpec = {
        **shared,
        "x": [xs[i] for i in index],
        "y": [points[i].loss for i in index],
        "line": {"color": f"var(--series-{slot}-band)", "width": 1},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    line: PlotSpec = {
        **shared,
        "x": [xs[i] for i in index],
        "y": [smooth[i] for i in index],
        "line": {"color": f"var(--series-{slot})", "width": 2, "dash": line_dash(card)},
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


def outcome_figure(data: ReportData) -> Figure | None:
    """Shares of outcomes for each author and benchmark, stacked, the ungraded ones hatched and last."""
    numbers = outcomes_table(data)
    names = outcome_names(data)
    rows = {who: counts for who, counts in data.outcomes.items() if sum(counts.values())}
    if numbers is None or not rows:
        return None
    traces = [_outcome_trace(name, rows) for name in names]
    layout = make_layout(
        len(names),
        xaxis=make_axis("share of samples", tickformat="~%", range=[0, 1]),
        yaxis=make_axis("", autorange="reversed", type="category"),
        barmode="stack",
        bargap=0.35,
        hovermode="closest",
        height=150 + (34 if len(rows) < 12 else 24) * len(rows),
        margin={"l": 56, "r": 28, "t": 14, "b": 48},
    )
    return Figure(key="outcomes", caption="Outcomes of all samples", spec=make_plot(traces, layout), numbers=numbers)


def _outcome_trace(name: str, rows: dict[str, dict[str, int]]) -> PlotSpec:
    return {
        "type": "bar",
        "orientation": "h",
        "name": f"{escape_text(name)} (not graded)" if is_ungraded(name) else escape_text(name),
        "y": [escape_text(author) for author in rows],
        "x": [counts.get(name, 0) / sum(counts.values()) for counts in rows.values()],
        "customdata": [counts.get(name, 0) for counts in rows.values()],
        "marker": _outcome_marker(name),
        "hovertemplate": f"{escape_text(name)}: %{{customdata:,}} (%{{x:.1%}})<extra></extra>",
    }


def _outcome_marker(name: str) -> PlotSpec:
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
