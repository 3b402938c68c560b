"""lighteval's details: Parquet with `doc`, `model_response` and `metric` a document, all its samples in one row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lakon.standalone.compare.readers.tables import read_parquet_rows
from lakon.standalone.compare.readers.values import FieldNames, find_first, read_grade, read_id, read_text
from lakon.standalone.compare.results import UNKNOWN, UNSCORED, ResultBuilder, SampleRow

COLUMNS = {"doc", "model_response", "metric"}
_NAME = re.compile(r"details_(.+?)_\d{4}-\d\d-\d\dT.*")


def read_lighteval(path: Path, into: ResultBuilder, names: FieldNames) -> None:
    """Take the documents of one file. A metric over several samples grades none of them: `--grade` does."""
    found = _NAME.match(path.name)
    task = found[1].split("|")[1] if found and "|" in found[1] else found[1] if found else ""
    metrics: dict[str, None] = {}
    n_summed = 0
    for number, (where, row) in enumerate(read_parquet_rows(path)):
        try:
            assert row is not None
            samples = list(_samples(row, number, task, names, metrics))
        except ValueError as error:
            into.refuse(where, str(error))
            continue
        n_summed += len(samples) > 1
        for sample in samples:
            into.add(sample, where)
    if n_summed:
        into.notes.append(
            f"{path.name}: one metric for all samples of a document, on {n_summed:,} documents:"
            " their samples carry no grades of their own; --grade math grades them"
        )
    if len(metrics) > 1 and not names.metric:
        first, *others = metrics
        into.notes.append(f"{path.name}: read the metric {first!r}; --fields metric=NAME reads {', '.join(others[:6])}")


def _samples(
    row: Mapping[str, Any], number: int, task: str, names: FieldNames, metrics: dict[str, None]
) -> Iterator[SampleRow]:
    doc, response, metric = (_mapping(row.get(name), name) for name in ("doc", "model_response", "metric"))
    metrics.update(dict.fromkeys(name for name, value in metric.items() if value is not None))
    texts = response.get("text")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("a model_response without texts")
    chosen = names.metric or next(iter(metrics), None)
    value = metric.get(chosen) if chosen else None
    specific = doc.get("specific")
    text = read_text(specific.get("problem")) if isinstance(specific, dict) else ""
    lengths = _lengths(response.get("output_tokens"), len(texts))
    for index, answer in enumerate(texts):
        yield SampleRow(
            problem_id=read_id(find_first(doc, (names.id, "id") if names.id else ("id",))) or str(number),
            text=text or read_text(find_first(doc, ("original_query", "query"))),
            reference=_gold(doc),
            answer=answer,
            sample=index,
            grade=read_grade(value) if len(texts) == 1 else UNSCORED,
            tokens=lengths[index],
            benchmark=task,
        )


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"no {name}")
    return value


def _lengths(ids: Any, n: int) -> list[int]:
    """The number of tokens of each of n responses, where their ids are told."""
    if isinstance(ids, list) and len(ids) == n and all(isinstance(each, list) and each for each in ids):
        return [len(each) for each in ids]
    return [UNKNOWN] * n


def _gold(doc: Mapping[str, Any]) -> str | None:
    choices, gold = doc.get("choices"), doc.get("gold_index")
    index = gold[0] if isinstance(gold, list) and gold else gold
    if isinstance(choices, list) and isinstance(index, int) and 0 <= index < len(choices):
        return read_text(choices[index]) or None
    return None
