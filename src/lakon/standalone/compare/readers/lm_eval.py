"""lm-eval's `samples_TASK_TIME.jsonl`: a row a document and filter, all repeats of it in `resps`.

A task with several filters has several rows a document; one filter is read. With `take_first` all repeats stand in
`resps` and one of them was scored: the others are unscored, and `--grade` grades them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lakon.standalone.compare.bounded import read_json, read_lines
from lakon.standalone.compare.readers.values import FieldNames, find_first, read_count, read_grade, read_id, read_text
from lakon.standalone.compare.results import UNKNOWN, UNSCORED, ResultBuilder, SampleRow

_QUESTIONS = ("question", "problem", "query", "prompt", "input", "Question", "Problem", "text")
_NAME = re.compile(r"samples_(.+?)_\d{4}-\d\d-\d\dT[\d:.\-]+$")


def is_lm_eval(row: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a sample of lm-eval."""
    return {"doc_id", "doc", "resps"} <= row.keys()


def read_lm_eval(path: Path, into: ResultBuilder, names: FieldNames) -> None:
    """Take the samples of one file."""
    task = name_task(path)
    choice = _Choice(names)
    for where, row in _rows(path, into):
        if not choice.takes(row):
            continue
        try:
            for found in _samples(row, task, choice, names):
                into.add(found, where)
        except ValueError as error:
            into.refuse(where, str(error))
    into.notes.extend(choice.notes(path.name))


def name_task(path: Path) -> str:
    """The task of a file of samples."""
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    found = _NAME.fullmatch(stem)
    return found[1] if found else stem.removeprefix("samples_")


def _rows(path: Path, into: ResultBuilder) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        try:
            row = read_json(line) if line is not None else None
        except ValueError as error:
            into.refuse(where, f"no JSON: {error}")
            continue
        if isinstance(row, dict) and is_lm_eval(row):
            yield where, row
        else:
            into.refuse(where, "a line that is too long" if line is None else "no sample of lm-eval")


class _Choice:
    """Which filter and metric are read: those that were named, else the first ones."""

    def __init__(self, names: FieldNames) -> None:
        self._filter, self._metric = names.filter, names.metric
        self._filters: dict[str, None] = {}
        self._metrics: dict[str, None] = {}

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether the row is of the filter that is read."""
        name = read_text(row.get("filter")) or "none"
        self._filters.setdefault(name)
        self._filter = self._filter or name
        return name == self._filter

    def grade(self, row: Mapping[str, Any]) -> Any:
        """The value of the metric that is read. Raises `ValueError` where the row has none."""
        listed = row.get("metrics")
        metrics = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        self._metrics.update(dict.fromkeys(metrics))
        self._metric = self._metric or next(iter(metrics), None)
        if self._metric is None:
            raise ValueError("no metric")
        if self._metric not in row:
            raise ValueError(f"no metric {self._metric!r}")
        return row[self._metric]

    def notes(self, file: str) -> list[str]:
        """What was chosen where there was a choice."""
        told: list[str] = []
        for what, chosen, all_of in (("filter", self._filter, self._filters), ("metric", self._metric, self._metrics)):
            others = [name for name in all_of if name != chosen]
            if others:
                more = ", ".join(others[:6])
                told.append(f"{file}: read the {what} {chosen!r}; --fields {what}=NAME reads another one: {more}")
            if chosen is not None and all_of and chosen not in all_of:
                told.append(f"{file}: has no {what} {chosen!r}")
        return told


def _samples(row: Mapping[str, Any], task: str, choice: _Choice, names: FieldNames) -> Iterator[SampleRow]:
    doc = row["doc"] if isinstance(row["doc"], dict) else {}
    answers = _answers(row["resps"])
    value = choice.grade(row)
    values = value if isinstance(value, list) else [value]
    if len(values) not in (1, len(answers)):
        raise ValueError(f"{len(values)} grades for {len(answers)} responses")
    grades = [read_grade(each) for each in values]
    grades += [UNSCORED] * (len(answers) - len(grades))
    problem = read_text(find_first(doc, (names.problem, *_QUESTIONS) if names.problem else _QUESTIONS))
    cluster = read_text(doc.get(names.cluster)) if names.cluster else ""
    lengths = _lengths(doc.get(names.tokens), len(answers)) if names.tokens else [UNKNOWN] * len(answers)
    for number, (answer, grade, length) in enumerate(zip(answers, grades, lengths, strict=True)):
        yield SampleRow(
            problem_id=read_id(doc.get(names.id) if names.id else row["doc_id"]),
            text=problem or _prompt(row.get("arguments")),
            reference=read_text(row.get("target")) or None,
            answer=answer,
            sample=number,
            grade=grade,
            tokens=length,
            cluster=cluster or None,
            benchmark=task,
        )


def _lengths(value: Any, n: int) -> list[int]:
    """The tokens of n responses, from a field of the document. Raises `ValueError`."""
    values = value if isinstance(value, list) else [value]
    if len(values) != n:
        raise ValueError(f"{len(values)} numbers of tokens for {n} responses")
    return [read_count(each) for each in values]


def _answers(resps: Any) -> list[str]:
    """The texts of `[[a, b]]`, one for each repeat. Raises `ValueError`."""
    inner = resps[0] if isinstance(resps, list) and resps else resps
    texts = inner if isinstance(inner, list) else resps
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("resps that are no generated texts")
    return texts


def _prompt(arguments: Any) -> str:
    """What the model was shown, where the document has no question of its own."""
    if isinstance(arguments, dict):
        first = arguments.get("gen_args_0")
        return read_text(first.get("arg_0")) if isinstance(first, dict) else ""
    if isinstance(arguments, list) and arguments:
        return read_text(arguments[0])
    return ""
