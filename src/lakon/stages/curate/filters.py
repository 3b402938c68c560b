"""Filters: what a trace must be like, beside correct, to be trained on; and the profiles that stand in the report.

Invariant: a filtered trace is an exclusion under its filter's name, and for the pool it is as if it were not there, so
that the next correct sample of its teacher may take its place. Everything is off unless the study turns it on. To add
one: a function and a row in `FILTERS`, or `package.module:name` in the study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from lakon.core.boxes import find_boxes
from lakon.core.plugins import find_plugin
from lakon.core.protocols import Progress, TokenCounter
from lakon.core.records import Exclusion, Outcome, Profile, Trace, VerdictOutcome
from lakon.core.spec import PluginPath, Spec
from lakon.stages.curate.profile import branching_rate, find_most_branching, profile_trace, sample_problems

_GRAM = 10


class Language(Spec):
    """The writing system of a trace."""

    script: Literal["latin", "cyrillic", "greek", "han", "arabic", "hebrew", "devanagari", "hangul"] = "latin"
    """The script expected."""
    at_least: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of all letters that must be of that script."""


class Filters(Spec):
    """Which traces are left out, each filter off unless stated."""

    truncated: bool = False
    """Those that ended for want of tokens, whatever their verdict."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Those longer than this in the tokens of any student: what does not fit its context."""
    repetition: Annotated[float, Field(gt=0, le=1)] | None = None
    """Those of whose 10-word sequences more than this share occurred before in the trace: loops. After the duplicate
    n-grams of Gopher's quality filters (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1)."""
    language: Language | None = None
    """Those not written in the script: a model that slips into another language."""
    answer_in_reasoning: bool = False
    """Those whose final answer occurs nowhere in their reasoning: it was not reasoned for."""
    one_answer: bool = False
    """Those with several different boxed answers in the answer text."""
    empty_reasoning: bool = False
    """Those that answer without reasoning."""
    max_branching_quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Those that change their approach more often a step than this share of the teacher's correct traces."""
    custom: tuple[PluginPath, ...] = ()
    """`package.module:name` of functions `(trace, extracted) -> detail or None`; a detail leaves the trace out."""

    @property
    def active(self) -> bool:
        """Whether any filter is on."""
        return self != Filters()


@dataclass(slots=True)
class Screened:
    """What one pass over a teacher's traces found."""

    profiles: list[Profile]
    """Of the first correct traces of a sample of problems; of all correct ones when a filter needs them."""
    exclusions: list[Exclusion]


def screen_traces(
    graded: Iterable[tuple[Trace, VerdictOutcome]],
    problem_ids: Iterable[str],
    filters: Filters,
    *,
    counters: Sequence[TokenCounter] = (),
    progress: Progress,
) -> Screened:
    """One pass over a teacher's traces with their verdicts. `problem_ids` are those of all the traces; `counters` are
    the students' tokenizers beside the common one."""
    checks = list(_checks(filters, counters))
    everything = filters.max_branching_quantile is not None
    some = sample_problems(problem_ids)
    screened = Screened([], [])
    for trace, verdict in graded:
        assert trace.trace_id == verdict.trace_id
        progress.advance(1)
        if trace.error is not None:
            continue
        outcome, extracted = verdict.outcome, verdict.extracted
        exclusion = _left_out(trace, extracted, checks)
        if exclusion is not None:
            screened.exclusions.append(exclusion)
        elif outcome == Outcome.CORRECT and (everything or (trace.problem_id in some and trace.sample_index == 0)):
            screened.profiles.append(profile_trace(trace))
    if filters.max_branching_quantile is not None:
        _drop_branching(screened, filters.max_branching_quantile)
    return screened


def _drop_branching(screened: Screened, quantile: float) -> None:
    dropped: set[str] = set()
    for row, border in find_most_branching(screened.profiles, quantile):
        detail = f"{branching_rate(row):.3f} changes of approach a step, above {border:.3f}"
        screened.exclusions.append(_excluded(row.trace_id, "max_branching_quantile", detail))
        dropped.add(row.trace_id)
    screened.profiles = [row for row in screened.profiles if row.trace_id not in dropped]


def _excluded(trace_id: str, rule: str, detail: str) -> Exclusion:
    return Exclusion(subject=trace_id, arm="", rule=rule, detail=detail)


Check = Callable[[Trace, str | None], str | None]


def _checks(filters: Filters, counters: Sequence[TokenCounter]) -> Iterator[tuple[str, Check]]:
    for name, make in FILTERS.items():
        setting = getattr(filters, name)
        if setting not in (None, False):
            yield name, make(setting, counters)
    for path in filters.custom:
        yield path.rpartition(":")[2], find_plugin(path, {}, "filter")


def _left_out(trace: Trace, extracted: str | None, checks: Sequence[tuple[str, Check]]) -> Exclusion | None:
    for rule, check in checks:
        detail = check(trace, extracted)
        if detail is not None:
            return _excluded(trace.trace_id, rule, detail)
    return None


def _truncated(setting: bool, counters: Sequence[TokenCounter]) -> Check:
    return lambda trace, _: "ended for want of tokens" if trace.finish_reason == "length" else None


def _max_tokens(most: int, counters: Sequence[TokenCounter]) -> Check:
    def check(trace: Trace, extracted: str | None) -> str | None:
        counts = [trace.n_tokens, *(sum(c.count([trace.reasoning, trace.answer])) for c in counters)]
        return f"{max(counts)} tokens, at most {most}" if max(counts) > most else None

    return check


def _repetition(most: float, counters: Sequence[TokenCounter]) -> Check:
    def check(trace: Trace, extracted: str | None) -> str | None:
        share = repeated_share(trace.reasoning)
        return f"{share:.2f} of its 10-word sequences occurred before" if share > most else None

    return check


def repeated_share(text: str) -> float:
    """Share of the 10-word sequences of `text` that occurred before in it."""
    words = text.split()
    grams = [hash(tuple(words[i : i + _GRAM])) for i in range(len(words) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _language(setting: Language, counters: Sequence[TokenCounter]) -> Check:
    import regex

    letters = regex.compile(r"\p{L}")
    of_script = regex.compile(rf"[\p{{L}}&&\p{{Script={setting.script}}}]", regex.V1)

    def check(trace: Trace, extracted: str | None) -> str | None:
        text = trace.reasoning + trace.answer
        if setting.script == "latin" and text.isascii():
            return None
        n = len(letters.findall(text))
        share = len(of_script.findall(text)) / n if n else 1.0
        return f"{share:.2f} of its letters are {setting.script}" if share < setting.at_least else None

    return check


def _answer_in_reasoning(setting: bool, counters: Sequence[TokenCounter]) -> Check:
    def check(trace: Trace, extracted: str | None) -> str | None:
        if not extracted or _bare(extracted) in _bare(trace.reasoning):
            return None
        return f"its answer {extracted[:40]!r} is not in its reasoning"

    return check


def _bare(text: str) -> str:
    """Without what answers are written around with: white space, dollars, thousands separators, LaTeX spacing."""
    return "".join(text.split()).translate(_AROUND).replace("\\dfrac", "\\frac").replace("\\!", "")


_AROUND = str.maketrans("", "", "$,")


def _one_answer(setting: bool, counters: Sequence[TokenCounter]) -> Check:
    def check(trace: Trace, extracted: str | None) -> str | None:
        answers = [box.content for box in find_boxes(trace.answer) if box.content]
        different = set(map(_bare, answers))
        return f"{len(different)} different boxed answers" if len(different) > 1 else None

    return check


def _empty_reasoning(setting: bool, counters: Sequence[TokenCounter]) -> Check:
    return lambda trace, _: None if trace.reasoning.strip() else "no reasoning"


FILTERS: dict[str, Callable[[Any, Sequence[TokenCounter]], Check]] = {
    "truncated": _truncated,
    "max_tokens": _max_tokens,
    "empty_reasoning": _empty_reasoning,
    "one_answer": _one_answer,
    "answer_in_reasoning": _answer_in_reasoning,
    "language": _language,
    "repetition": _repetition,
}
"""Field of `Filters` to what makes its check, the cheap ones first: the first that finds fault gives the rule."""
