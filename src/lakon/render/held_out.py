"""The figures of held-out loss: one for each training run, a curve for each style, all on the same axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lakon.core import score_text as wording
from lakon.core.records import HeldOutLoss
from lakon.core.report_data import ReportData
from lakon.render.axes import PlotSpec, escape_text, make_axis, make_layout, make_plot
from lakon.render.blocks import Figure, RowGroup, Table, TableRow, make_table
from lakon.render.lookup import teacher_slot

_HEIGHT = 260
_ROOM = 1.05
"""The axes end this much beyond the largest value."""


def held_out_paragraphs(data: ReportData) -> tuple[str, ...]:
    """What the curves show."""
    if not data.held_out:
        return ()
    return (
        "Loss on each teacher's traces of problems that no arm trains on, while students train: a falling curve is a"
        " style that a student is learning, a rising one a style that it is losing. All figures have the same axes.",
    )


def held_out_figures(data: ReportData) -> list[Figure]:
    """One small figure for each training run."""
    finite = [row for curve in data.held_out.values() for row in curve if math.isfinite(row.loss)]
    if not finite:
        return []
    reach = _ROOM * max(row.trained_tokens for row in finite), _ROOM * max(row.loss for row in finite)
    figures: list[Figure] = []
    for number, (label, curve) in enumerate(data.held_out.items()):
        numbers = _numbers(label, curve)
        if numbers is not None:
            spec = _plot(data, curve, reach)
            figures.append(Figure(key=f"held-out-{number + 1}", caption=numbers.caption, spec=spec, numbers=numbers))
    return figures


def _plot(data: ReportData, curve: Sequence[HeldOutLoss], reach: tuple[float, float]) -> PlotSpec:
    traces: list[PlotSpec] = []
    for style, rows in _by_style(curve).items():
        slot = teacher_slot(data, style)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": escape_text(style),
                "x": [row.trained_tokens for row in rows],
                "y": [row.loss for row in rows],
                "line": {"color": f"var(--series-{slot})", "width": 2},
                "hovertemplate": "%{y:.3f}",
            }
        )
    layout = make_layout(
        len(traces),
        xaxis=make_axis("tokens trained on", range=[0, reach[0] or 1]),
        yaxis=make_axis("held-out loss", range=[0, reach[1] or 1]),
        height=_HEIGHT,
    )
    return make_plot(traces, layout)


def _numbers(label: str, curve: Sequence[HeldOutLoss]) -> Table | None:
    rows: list[TableRow] = []
    for style, points in _by_style(curve).items():
        lowest = min(points, key=lambda row: row.loss)
        losses = (wording.format_fixed(row.loss, 3) for row in (points[0], lowest, points[-1]))
        counts = wording.format_count(lowest.trained_tokens), wording.format_count(points[-1].n_tokens)
        rows.append(TableRow(cells=(style, *losses, *counts)))
    columns = ("style", "first", "lowest", "last", "tokens trained on at the lowest", "held-out tokens")
    return make_table(f"Held-out loss of {label}", columns, [RowGroup(rows=tuple(rows))])


def _by_style(curve: Sequence[HeldOutLoss]) -> dict[str, list[HeldOutLoss]]:
    """The finite points of each style, in the order of their steps."""
    found: dict[str, list[HeldOutLoss]] = {}
    for row in sorted(curve, key=lambda row: row.step):
        if math.isfinite(row.loss):
            found.setdefault(row.style, []).append(row)
    return found
