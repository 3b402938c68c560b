"""The section on familiarity: how well each base predicts each teacher's traces before training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lakon.core import score_text as wording
from lakon.core.records import LossBin
from lakon.core.report_data import Familiarity, LossGap, MeasuredValue, ReportData, StyleLoss
from lakon.render.axes import PlotSpec, escape_text, make_axis, make_layout, make_plot
from lakon.render.blocks import Figure, RowGroup, Table, TableRow, make_table
from lakon.render.lookup import teacher_slot

_MEANING = (
    "This is before any training: it is where the loss curves of students trained on these traces begin. A style with a"
    " low loss is one in which the base could have written much already; how much a student learns from a style, it"
    " does not say."
)


def familiarity_paragraphs(data: ReportData) -> tuple[str, ...]:
    """What was measured for each base, the differences between teachers, and what they mean."""
    sentences: list[str] = []
    for base in data.familiarity:
        sentences.extend(_describe_base(data, base))
    return (*sentences, _MEANING) if any(base.styles for base in data.familiarity) else tuple(sentences)


def _describe_base(data: ReportData, base: Familiarity) -> Iterator[str]:
    who = f"the base of {base.student}" if base.student else "the base"
    if base.styles:
        parts = [f"{_nats(style.loss)} for {style.teacher}" for style in base.styles]
        over = wording.pluralise(base.n_problems, "problem")
        shared = " that all teachers got right" if len(base.styles) > 1 else ""
        yield f"Loss of {who} a token, in nats: {wording.join_names(parts)} ({over}{shared})."
    elif base.n_left_out:
        yield f"The loss of {who} was measured on no problem."
    else:
        yield f"The loss of {who} was not measured: there is no problem that all teachers got right."
    for gap in base.gaps:
        yield _describe_gap(gap, data.confidence)
    if base.n_left_out:
        yield f"{wording.pluralise(base.n_left_out, 'problem is', 'problems are')} left out: {_reasons(base)}."


def _describe_gap(gap: LossGap, confidence: float) -> str:
    found = f"{_signed(gap.difference)} nats a token, p {_p_value(gap.p_value)}"
    if not _is_established(gap, confidence):
        return f"No difference in familiarity between {gap.teacher} and {gap.baseline} is established ({found})."
    less = gap.teacher if gap.difference.value > 0 else gap.baseline
    more = gap.baseline if gap.difference.value > 0 else gap.teacher
    return (
        f"{less} is less familiar to it than {more}: the loss on {gap.teacher} less that on {gap.baseline} is {found}."
    )


def _is_established(gap: LossGap, confidence: float) -> bool:
    excludes_zero = gap.difference.low > 0 or gap.difference.high < 0
    return excludes_zero and gap.p_value < 1 - confidence + 1e-9


def _reasons(base: Familiarity) -> str:
    reasons: list[str] = []
    if base.n_too_long:
        traces = wording.pluralise(base.n_too_long, "trace is", "traces are")
        bound = f" of {base.context:,} tokens" if base.context is not None else ""
        reasons.append(f"{traces} longer than its context{bound}")
    if base.n_not_finite:
        reasons.append(f"{wording.pluralise(base.n_not_finite, 'trace has', 'traces have')} a loss that is no number")
    return " and ".join(reasons)


def familiarity_table(data: ReportData) -> Table | None:
    """Each teacher's losses under each base, and how surprising its tokens are."""
    groups: list[RowGroup] = []
    for base in data.familiarity:
        rows = tuple(TableRow(cells=_style_cells(style)) for style in base.styles)
        groups.append(RowGroup(heading=base.student, rows=rows))
    columns = (
        "teacher",
        "loss a token",
        "over all tokens",
        "perplexity",
        "median",
        "90%",
        "99%",
        "surprising",
        "tokens",
        "traces",
    )
    note = (
        "Loss a token: the mean over problems of a trace's mean, with its"
        f" {wording.format_percent(data.confidence, 0)} interval. All other columns are over all tokens, as the loss of"
        " a training step is; the quantiles are of single tokens. Surprising: the share of tokens that the base gave a"
        " probability of less than 1%. Tokens are the base's own, end tokens included."
    )
    return make_table("Loss of the base on the teachers' traces", columns, groups, note=note)


def _style_cells(style: StyleLoss) -> tuple[str, ...]:
    (whole,) = _at(style, "all")
    return (
        style.teacher,
        _nats(style.loss),
        *(wording.format_fixed(value, 3) for value in (whole.loss, math.exp(min(whole.loss, 700.0)))),
        *(wording.format_fixed(value, 3) for value in (whole.median, whole.q90, whole.q99)),
        wording.format_percent(whole.surprising),
        wording.format_count(whole.n_tokens),
        wording.format_count(style.n_traces),
    )


def familiarity_figures(data: ReportData) -> list[Figure | Table]:
    """For each base the loss by the distance from the beginning of a trace, and as a table by tenths of it."""
    parts: list[Figure | Table] = []
    for number, base in enumerate(data.familiarity):
        numbers = _position_table(base, "tokens", f"Loss by position{_of(base)}")
        tenths = _position_table(base, "tenths", f"Loss by tenths of a trace{_of(base)}")
        if numbers is not None:
            key = "familiarity" if number == 0 else f"familiarity-{number + 1}"
            parts.append(Figure(key=key, caption=numbers.caption, spec=_position_plot(data, base), numbers=numbers))
        if tenths is not None:
            parts.append(tenths)
    return parts


def _of(base: Familiarity) -> str:
    return f", base of {base.student}" if base.student else ""


def _position_plot(data: ReportData, base: Familiarity) -> PlotSpec:
    names = [_stretch(row) for row in _longest(base)]
    traces: list[PlotSpec] = []
    for style in base.styles:
        rows = _at(style, "tokens")
        slot = teacher_slot(data, style.teacher)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escape_text(style.teacher),
                "x": [_stretch(row) for row in rows],
                "y": [row.loss for row in rows],
                "line": {"color": f"var(--series-{slot})", "width": 2},
                "marker": {"color": f"var(--series-{slot})", "size": 7},
                "hovertemplate": "%{y:.3f}",
            }
        )
    axis = make_axis("token of the completion", type="category", categoryorder="array", categoryarray=names)
    layout = make_layout(len(traces), xaxis=axis, yaxis=make_axis("loss, nats a token", rangemode="tozero"))
    return make_plot(traces, layout)


def _longest(base: Familiarity) -> Sequence[LossBin]:
    """The stretches of the teacher with the longest traces, which has them all."""
    return max((_at(style, "tokens") for style in base.styles), key=len)


def _at(style: StyleLoss, scale: str) -> list[LossBin]:
    return [row for row in style.bins if row.scale == scale]


def _position_table(base: Familiarity, scale: str, caption: str) -> Table | None:
    groups: list[RowGroup] = []
    for style in base.styles:
        cells = tuple(TableRow(cells=_bin_cells(row)) for row in _at(style, scale))
        groups.append(RowGroup(heading=style.teacher, rows=cells))
    where = "tokens" if scale == "tokens" else "tenth"
    columns = (where, "loss a token", "median", "90%", "99%", "surprising", "tokens", "traces")
    return make_table(caption, columns, groups, folded=scale == "tenths")


def _bin_cells(row: LossBin) -> tuple[str, ...]:
    values = (wording.format_fixed(value, 3) for value in (row.loss, row.median, row.q90, row.q99))
    counts = wording.format_count(row.n_tokens), wording.format_count(row.n_traces)
    return (_stretch(row), *values, wording.format_percent(row.surprising), *counts)


def _stretch(row: LossBin) -> str:
    """`17–64`, `16,385 on`, or the number of a tenth: counted from one, as people do."""
    if row.scale == "tenths":
        return f"{row.start + 1}"
    return f"{row.start + 1:,} on" if row.stop is None else f"{row.start + 1:,}{wording.DASH}{row.stop:,}"


def _nats(loss: MeasuredValue) -> str:
    return f"{wording.format_fixed(loss.value, 3)}{_interval(loss)}"


def _signed(difference: MeasuredValue) -> str:
    text = wording.format_fixed(difference.value, 3)
    return f"{'' if difference.value <= 0 else '+'}{text}{_interval(difference)}"


def _interval(value: MeasuredValue) -> str:
    if not (math.isfinite(value.low) and math.isfinite(value.high)):
        return ""
    return f" [{wording.format_fixed(value.low, 3)}, {wording.format_fixed(value.high, 3)}]"


def _p_value(value: float) -> str:
    return wording.format_p_value(value) if value < 0.001 else f"= {wording.format_p_value(value)}"
