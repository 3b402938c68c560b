"""Parts of every figure: axes, layout, symbols and dashes by matching rule, error bars, escaped text.

Text of a study or a model is escaped before plotly gets it, because plotly interprets some markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from lakon.core.records import Score
from lakon.core.report_data import ModelCard
from lakon.render.blocks import escape_invisible

SYMBOLS = {"problems": "circle", "tokens": "square", "steps": "triangle-up"}
DASHES = {"problems": "solid", "tokens": "dash", "steps": "dot"}

ROOM = 0.12
"""The smallest margin at either end of a log axis, in decades."""

PlotSpec = dict[str, Any]


def marker_symbol(card: ModelCard) -> str:
    """The symbol of an author: by kind, and for students by match rule."""
    if card.kind == "teacher":
        return "diamond-open"
    return "x-thin-open" if card.kind == "base" else SYMBOLS.get(card.match or "problems", "hexagon")


def line_dash(card: ModelCard) -> str:
    """The dash of an author's curves: by kind, and for students by match rule."""
    return "dashdot" if card.kind == "teacher" else DASHES.get(card.match or "problems", "longdash")


def error_bars(scores: Sequence[Score], colour: str) -> PlotSpec:
    """Error bars from the intervals; a missing bound has no bar."""
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


def finite_or_none(value: float | None) -> float | None:
    """The value where JSON can hold it."""
    return value if value is not None and math.isfinite(value) else None


def escape_text(text: str) -> str:
    """Text without anything that plotly interprets as markup."""
    return escape(escape_invisible(text), quote=False).replace("%{", "%\u200b{").replace("\n", " ")


def make_plot(traces: list[PlotSpec], layout: PlotSpec) -> PlotSpec:
    """A whole figure."""
    return {"data": traces, "layout": layout}


def make_axis(title: str, **more: Any) -> PlotSpec:
    """An axis in the page's colours."""
    heading = {"text": escape_text(title), "standoff": 8, "font": {"size": 13}}
    grid = {"gridcolor": "var(--grid)", "linecolor": "var(--rule)", "zeroline": False, "automargin": True}
    return {"title": heading, "ticks": "outside", "tickcolor": "var(--rule)", **grid, **more}


def make_log_axis(title: str, values: list[float]) -> PlotSpec:
    """A log axis with margins and readable ticks: 100, 200, 500, 1,000."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(ROOM, (high - low) * 0.08)
    dtick: Any = "D2" if high - low < 2.2 else 1
    return make_axis(title, type="log", range=[low - room, high + room], dtick=dtick, tickformat=",~r")


def x_positions(traces: list[PlotSpec]) -> list[float]:
    """Every positive position of the traces on the x axis, error bars included."""
    values: list[float] = []
    for trace in traces:
        xs = [x for x in trace["x"] if isinstance(x, int | float) and x > 0]
        error: PlotSpec = trace.get("error_x") or {}
        values += xs + [x + up for x, up in zip(xs, error.get("array", []), strict=False)]
        values += [x - down for x, down in zip(xs, error.get("arrayminus", []), strict=False) if x > down]
    return values or [1.0]


def make_layout(n_names: int, **more: Any) -> PlotSpec:
    """The page's layout; a legend of so many names takes the height of its rows."""
    font = {"family": "var(--sans)", "size": 13, "color": "var(--ink)"}
    return {
        "font": font,
        "height": 360 + 20 * math.ceil(n_names / 5),
        "meta": {"names": n_names},
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


def evenly_spaced(values: Sequence[Any], limit: int) -> list[Any]:
    """At most `limit` of the values, evenly spaced, the first and the last among them."""
    if len(values) <= limit:
        return list(values)
    return [values[round(i * (len(values) - 1) / (limit - 1))] for i in range(limit)]
