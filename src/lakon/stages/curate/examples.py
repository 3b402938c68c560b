"""From picks to training examples: texts are streamed from the traces into shards.

Invariant: memory holds ids, counts and one batch of texts, whatever the size of the traces. Examples come in the order
of the picks. Traces that lie in that order go straight through; those that do not (a second sample stands far behind
the first one of its problem) wait in a scratch file until their turn. How a trace becomes a target comes in as
functions; a trace that a style makes no target of is an exclusion.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lakon.core.columns import Counts, pair_rows
from lakon.core.errors import InputError
from lakon.core.records import Example, ExampleLengths, Exclusion, Problem, Trace, VerdictOutcome

_BATCH_CHARS = 2 << 20
"""Texts that are styled and counted together."""
_BATCH = 1_000
"""As many of them at most: of short prompts, a batch by their characters would be those of 200,000 problems."""


class PickLike(Protocol):
    """What `strategies.pick_traces` gives for one example."""

    @property
    def problem_id(self) -> str: ...
    @property
    def teacher(self) -> str: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def phase(self) -> int: ...
    @property
    def system(self) -> str: ...


Style = Callable[[str, str, str | None], tuple[str, str] | None]
Count = Callable[[Sequence[str]], list[int]]


def build_examples(
    arm: str,
    picks: Sequence[PickLike],
    problems: Iterable[Problem],
    traces: Mapping[str, Iterable[tuple[Trace, str | None]]],
    *,
    style: Style,
    style_name: str,
    template: str,
    complete: Callable[[str, str], str],
    count: Count,
    scratch: Path,
    without_target: list[Exclusion],
) -> Iterator[Example]:
    """The arm's examples in the order of its picks, every trace once (`repeats` is set later, when arms are matched).
    Picks without a trace are passed over; `exclude_missing` tells of them.

    `traces` come with the answer that was extracted from each; `complete(reasoning, answer)` gives the text that is
    trained on; `count` counts its tokens; `scratch` is a file that is made for the purpose and removed;
    `without_target` is filled with what the style makes no target of.
    """
    uses = Counts(key for pick in picks for key in (pick.problem_id, pick.trace_id))
    prompts = ((p.problem_id, template.replace("{problem}", p.prompt)) for p in problems if uses[p.problem_id])
    texts_of_systems = sorted({pick.system for pick in picks} - {""})
    systems = dict(zip(texts_of_systems, count(texts_of_systems), strict=True))

    untargeted: set[str] = set()

    def completions(rows: Iterable[tuple[Trace, str | None]]) -> Iterator[tuple[str, str]]:
        for trace, extracted in rows:
            if uses[trace.trace_id]:
                target = _target(style, style_name, trace, extracted)
                if target is None:
                    untargeted.add(trace.trace_id)
                yield trace.trace_id, complete(*target) if target else ""

    asking = _counted(prompts, count)
    telling = {teacher: _counted(completions(rows), count) for teacher, rows in traces.items()}
    with _Scratch(scratch) as texts:
        for pick in (pick for pick in picks if pick.trace_id):
            prompt, n_prompt = texts.take(pick.problem_id, asking, uses)
            completion, n_tokens = texts.take(pick.trace_id, telling[pick.teacher], uses)
            if pick.trace_id in untargeted:
                without_target.append(_without_target(arm, pick, style_name))
                continue
            yield Example(
                arm=arm,
                problem_id=pick.problem_id,
                trace_id=pick.trace_id,
                teacher=pick.teacher,
                style=style_name,
                prompt=prompt,
                completion=completion,
                phase=pick.phase,
                n_tokens=n_tokens,
                system=pick.system,
                n_prompt=n_prompt + systems.get(pick.system, 0),
            )


def _target(style: Style, name: str, trace: Trace, extracted: str | None) -> tuple[str, str] | None:
    """What a style makes of a trace. Raises `InputError` for one that fails or gives something else."""
    todo = "mend the style, then run again: every finished step is kept"
    try:
        target: object = style(trace.reasoning, trace.answer, extracted)
    except Exception as error:
        found = f"style {name!r} failed on trace {trace.trace_id[:12]}: {type(error).__name__}: {error}"
        raise InputError(found, "a pair of texts or None", todo) from error
    match target:
        case None | (str(), str()):
            return target
        case _:
            found = f"style {name!r} gave {type(target).__name__} for trace {trace.trace_id[:12]}"
            raise InputError(found, "a pair of texts (reasoning, answer) or None", todo)


def _without_target(arm: str, pick: PickLike, style: str) -> Exclusion:
    detail = f"{style} makes no target of trace {pick.trace_id[:12]} of {pick.teacher}"
    return Exclusion(subject=pick.problem_id, arm=arm, rule="no_target", detail=detail)


def pair_answers(traces: Iterable[Trace], verdicts: Iterable[VerdictOutcome]) -> Iterator[tuple[Trace, str | None]]:
    """Traces with what their verifier extracted: both tables are in one order, so neither has to be held."""
    return ((trace, verdict.extracted) for trace, verdict in pair_rows(traces, verdicts))


_Counted = tuple[str, str, int]
"""An id, its text and the tokens of that."""


class _Scratch(contextlib.AbstractContextManager["_Scratch"]):
    """Texts on the disk with their token counts, found by id; gone when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: dict[str, tuple[int, int, int]] = {}

    def take(self, key: str, stream: Iterator[_Counted], uses: Counts) -> tuple[str, int]:
        """The text of `key` and its tokens: from the disk, or else from the stream, read as far as that; what comes on
        the way, or is used more than once, waits on the disk."""
        if key in self._places:
            return self._read(key)
        for other, text, n in stream:
            if other != key or uses[key] > 1:
                self._write(other, text, n)
            if other == key:
                return text, n
        raise KeyError(key)

    def _write(self, key: str, text: str, n: int) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._places[key] = (self._file.seek(0, os.SEEK_END), len(data), n)
        self._file.write(data)

    def _read(self, key: str) -> tuple[str, int]:
        start, length, n = self._places[key]
        self._file.seek(start)
        return self._file.read(length).decode("utf-8", "surrogatepass"), n

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._path.unlink()


def _counted(texts: Iterable[tuple[str, str]], count: Count) -> Iterator[_Counted]:
    """Texts with their tokens, counted a batch at a time."""
    for batch in _batches(texts):
        for (key, text), n in zip(batch, count([text for _, text in batch]), strict=True):
            yield key, text, n


def _batches(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    chars = 0
    for key, text in texts:
        batch.append((key, text))
        chars += len(text)
        if chars >= _BATCH_CHARS or len(batch) >= _BATCH:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def exclude_missing(arm: str, picks: Iterable[PickLike]) -> Iterator[Exclusion]:
    """Picks without a trace: what the arm's teacher lacks of the pool. There are none under `require = "all"`."""
    return (
        Exclusion(subject=pick.problem_id, arm=arm, rule="no_trace_of_teacher", detail=f"no trace of {pick.teacher}")
        for pick in picks
        if not pick.trace_id
    )


def choose_budget(rule: str | int, totals: Mapping[str, int]) -> int:
    """What every arm gets when arms are matched; `totals` are the arms' own, by name, in the unit of the rule."""
    if isinstance(rule, int):
        return rule
    if rule == "largest":
        return max(totals.values())
    return min(totals.values()) if rule == "smallest" else totals[rule]


def repeat_examples(built: Iterable[Example], repeats: Iterable[int]) -> Iterator[Example]:
    """`built` with so many repeats each; those with none are left out."""
    for example, n in zip(built, repeats, strict=True):
        if n:
            yield replace(example, repeats=n)


def exclude_unmatched(
    built: Iterable[ExampleLengths], repeats: Iterable[int], arm: str, unit: str
) -> Iterator[Exclusion]:
    """What matching left out; `unit` is `token` or `step`."""
    for example, n in zip(built, repeats, strict=True):
        if not n:
            yield Exclusion(
                subject=example.problem_id, arm=arm, rule=f"{unit}_budget", detail=f"arms matched by {unit}s"
            )
