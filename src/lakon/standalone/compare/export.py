"""Results written in the formats of other tools: inspect's `.eval`, lm-eval's results and samples, CSV.

Invariant: what is written here is read back, by us and by the tool itself, to the same problems, samples and grades.
Ids, grades and texts travel; what a format has no place for (clusters in lm-eval) stands in the problem's document.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from lakon.core.errors import InputError
from lakon.standalone.compare.join import Joined, Problem
from lakon.standalone.compare.results import RIGHT, UNGRADED, UNKNOWN, ResultSet

WHEN = "2020-01-01T00:00:00+00:00"
"""The time in every file: the same results give the same bytes."""
_NO_NAME = "results"


class _Exported(NamedTuple):
    """One sample as every format writes it."""

    problem: Problem
    number: int
    """Which sample of the problem, from 0, over all training seeds."""
    grade: int
    tokens: int
    finished: bool
    answer: str


def export_results(joined: Joined, format: str, folder: Path) -> list[Path]:
    """One file, or pair of files, an author and benchmark. Raises `InputError` where one is there already."""
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for side, one in enumerate(joined.sets):
            for benchmark in joined.benchmarks:
                rows = list(_list_samples(joined, side, benchmark))
                if rows:
                    written += EXPORTS[format](folder, one, benchmark, rows)
    except FileExistsError as error:
        found = f"{error.filename} is there already"
        raise InputError(found, "a folder without results of these names", "choose another --to") from error
    except OSError as error:
        found = f"{folder}: {error.strerror or error}"
        raise InputError(found, "a folder that can be written", "choose another --to") from error
    return written


def _list_samples(joined: Joined, side: int, benchmark: str) -> Iterator[_Exported]:
    one, places = joined.sets[side], joined.places[side]
    at = places[one.row]
    order = np.lexsort((one.sample, one.training_seed, at))
    numbers = dict.fromkeys(range(len(joined.problems)), 0)
    for row in order[at[order] >= 0].tolist():
        place = int(at[row])
        problem = joined.problems[place]
        if problem.benchmark != benchmark:
            continue
        yield _Exported(
            problem=problem,
            number=numbers[place],
            grade=int(one.grade[row]),
            tokens=int(one.tokens[row]),
            finished=bool(one.finished[row]),
            answer=one.answers[row] if one.answers else "",
        )
        numbers[place] += 1


def _dump(value: Any) -> bytes:
    """JSON; a lone surrogate, which a model can write as an escape, becomes a question mark."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


# -- inspect ----------------------------------------------------------------------------------------------------


def _export_inspect(folder: Path, one: ResultSet, benchmark: str, rows: list[_Exported]) -> list[Path]:
    path = folder / f"{_file_name(one.name, benchmark)}.eval"
    header = _inspect_header(one, benchmark, rows)
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        start = {name: header[name] for name in ("version", "eval", "plan")}
        _put(archive, "_journal/start.json", start)
        summaries: list[dict[str, Any]] = []
        for row in rows:
            sample = _inspect_sample(one.name, row)
            _put(archive, f"samples/{_member_name(sample['id'])}_epoch_{sample['epoch']}.json", sample)
            kept = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage", "completed")
            summaries.append({name: sample[name] for name in kept if name in sample} | {"completed": True})
        _put(archive, "summaries.json", summaries)
        _put(archive, "header.json", header)
    return [path]


def _put(archive: zipfile.ZipFile, name: str, value: Any) -> None:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, _dump(value))


def _inspect_header(one: ResultSet, benchmark: str, rows: list[_Exported]) -> dict[str, Any]:
    ids = list(dict.fromkeys(row.problem.problem_id for row in rows))
    identity = hashlib.sha256(f"{one.name}\x1f{benchmark}".encode()).hexdigest()[:22]
    share = sum(row.grade == RIGHT for row in rows) / len(rows)
    metrics = {"accuracy": {"name": "accuracy", "value": share, "params": {}}}
    score = {"name": "grade", "scorer": "grade", "params": {}, "metrics": metrics}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": identity,
            "run_id": identity,
            "created": WHEN,
            "task": benchmark or _NO_NAME,
            "task_id": identity,
            "task_version": 0,
            "task_attribs": {},
            "task_args": {},
            "dataset": {"name": benchmark or _NO_NAME, "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": one.name,
            "model_args": {},
            "config": {"epochs": max(row.number for row in rows) + 1},
            "packages": {},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {"total_samples": len(rows), "completed_samples": len(rows), "scores": [score]},
        "stats": {"started_at": WHEN, "completed_at": WHEN, "model_usage": {}},
    }


def _inspect_sample(author: str, row: _Exported) -> dict[str, Any]:
    problem = row.problem
    message = {"role": "assistant", "content": row.answer, "source": "generate", "model": author}
    choice = {"message": message, "stop_reason": "stop" if row.finished else "max_tokens"}
    output: dict[str, Any] = {"model": author, "choices": [choice], "completion": row.answer}
    if row.tokens != UNKNOWN:
        output["usage"] = {"input_tokens": 0, "output_tokens": row.tokens, "total_tokens": row.tokens}
    metadata = {"cluster": problem.cluster} if problem.cluster is not None else {}
    scores = {} if row.grade == UNGRADED else {"grade": {"value": "C" if row.grade == RIGHT else "I"}}
    return {
        "id": problem.problem_id,
        "epoch": row.number + 1,
        "input": problem.text,
        "target": problem.reference or "",
        "messages": [{"role": "user", "content": problem.text}, message],
        "output": output,
        "scores": scores,
        "metadata": metadata,
        "store": {},
        "events": [],
        "model_usage": {author: output["usage"]} if "usage" in output else {},
        "attachments": {},
    }


def _member_name(problem_id: str) -> str:
    """An id as part of a member's name: no path, and two ids never share one."""
    if re.fullmatch(r"[\w.-]{1,80}", problem_id) and not problem_id.startswith("."):
        return problem_id
    return hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# -- lm-eval ----------------------------------------------------------------------------------------------------


def _export_lm_eval(folder: Path, one: ResultSet, benchmark: str, rows: list[_Exported]) -> list[Path]:
    task = _plain_name(benchmark or _NO_NAME)
    place = folder / _plain_name(one.name)
    place.mkdir(exist_ok=True)
    stamp = "2020-01-01T00-00-00.000000"
    samples, results = place / f"samples_{task}_{stamp}.jsonl", place / f"results_{task}_{stamp}.json"
    by_problem: dict[str, list[_Exported]] = {}
    for row in rows:
        by_problem.setdefault(row.problem.key, []).append(row)
    with samples.open("xb") as file:
        for number, of_problem in enumerate(by_problem.values()):
            file.write(_dump(_lm_eval_sample(number, of_problem)) + b"\n")
    share = sum(row.grade == RIGHT for row in rows) / len(rows)
    figures = {"alias": task, "exact_match,none": share, "sample_len": len(by_problem)}
    about = {
        "results": {task: figures},
        "configs": {task: {"task": task, "output_type": "generate_until"}},
        "versions": {task: 0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"exact_match": True}},
        "n-samples": {task: {"original": len(by_problem), "effective": len(by_problem)}},
        "config": {"model": one.name, "model_args": ""},
        "model_name": one.name,
    }
    with results.open("xb") as file:
        file.write(_dump(about))
    return [samples, results]


def _lm_eval_sample(number: int, rows: list[_Exported]) -> Mapping[str, Any]:
    """A document with all its responses: the metric is a list where there are several, null where ungraded."""
    problem = rows[0].problem
    doc: dict[str, Any] = {"id": problem.problem_id, "question": problem.text, "answer": problem.reference}
    if problem.cluster is not None:
        doc["cluster"] = problem.cluster
    if rows[0].tokens != UNKNOWN:
        doc["tokens"] = [row.tokens for row in rows]
    grades = [None if row.grade == UNGRADED else float(row.grade == RIGHT) for row in rows]
    responses = [row.answer for row in rows]
    return {
        "doc_id": number,
        "doc": doc,
        "target": problem.reference or "",
        "arguments": {"gen_args_0": {"arg_0": problem.text, "arg_1": {}}},
        "resps": [responses],
        "filtered_resps": responses,
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": hashlib.sha256(_dump([problem.problem_id, problem.text])).hexdigest(),
        "exact_match": grades[0] if len(grades) == 1 else grades,
    }


# -- CSV --------------------------------------------------------------------------------------------------------

COLUMNS = (
    "id",
    "benchmark",
    "sample",
    "correct",
    "tokens",
    "finish_reason",
    "cluster",
    "reference",
    "problem",
    "answer",
)


def _export_csv(folder: Path, one: ResultSet, benchmark: str, rows: list[_Exported]) -> list[Path]:
    path = folder / f"{_file_name(one.name, benchmark)}.csv"
    with path.open("x", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(_csv_cells(benchmark, row))
    return [path]


def _csv_cells(benchmark: str, row: _Exported) -> list[object]:
    problem = row.problem
    return [
        problem.problem_id,
        benchmark,
        row.number,
        "" if row.grade == UNGRADED else int(row.grade == RIGHT),
        "" if row.tokens == UNKNOWN else row.tokens,
        "stop" if row.finished else "length",
        problem.cluster or "",
        "" if problem.reference is None else problem.reference,
        problem.text,
        row.answer,
    ]


def _file_name(author: str, benchmark: str) -> str:
    return "_".join(_plain_name(part) for part in (author, benchmark) if part)


def _plain_name(text: str) -> str:
    """A name that can be that of a file."""
    name = re.sub(r"[^\w.@+-]+", "-", text).strip("-.")
    return name[:80] or "unnamed"


EXPORTS: dict[str, Callable[[Path, ResultSet, str, list[_Exported]], list[Path]]] = {
    "inspect": _export_inspect,
    "lm-eval": _export_lm_eval,
    "csv": _export_csv,
}
"""Format to the function that writes an author's results on a benchmark in it."""
