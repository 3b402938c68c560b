"""inspect's logs: `.eval`, a zip with a member a sample and epoch, and the same log as one JSON document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lakon.core.errors import InputError
from lakon.standalone.compare.bounded import BoundedArchive, read_document, read_json
from lakon.standalone.compare.readers.values import FieldNames, read_count, read_grade, read_id, read_text
from lakon.standalone.compare.results import UNGRADED, ResultBuilder, SampleRow

_MEMBER = re.compile(r"samples/.+_epoch_\d+\.json")
_HEADERS = ("header.json", "_journal/start.json")


def read_eval_archive(path: Path, into: ResultBuilder, names: FieldNames) -> None:
    """Take the samples of an `.eval` file. Raises `InputError` for an archive that is no log."""
    with BoundedArchive(path) as archive:
        members = [name for name in archive.names() if _MEMBER.fullmatch(name)]
        header = next((name for name in _HEADERS if name in archive.names()), None)
        if header is None or not members:
            found = f"a zip file with {len(members)} samples and {'a' if header else 'no'} header"
            raise InputError(found, "an .eval log of inspect", "check the file", where=str(path))
        choice = _Scorer(names.metric)
        task = _task_of_member(archive, header, into, path)
        for name in members:
            where = f"{path}:{name}"
            try:
                into.add(_sample(read_json(archive.read(name)), task, choice, names), where)
            except (ValueError, KeyError) as error:
                into.refuse(where, str(error))
        into.notes.extend(choice.notes(path.name))


def read_eval_document(path: Path, into: ResultBuilder, names: FieldNames) -> None:
    """Take the samples of a JSON log."""
    document = read_document(path)
    samples = document.get("samples") if isinstance(document, dict) else None
    if not isinstance(samples, list):
        raise InputError("a JSON log without samples", "samples in it", "log them (log_samples)", where=str(path))
    choice, task = _Scorer(names.metric), _task(document)
    for number, sample in enumerate(samples, 1):
        where = f"{path}:sample {number}"
        try:
            into.add(_sample(sample, task, choice, names), where)
        except ValueError as error:
            into.refuse(where, str(error))
    into.notes.extend(choice.notes(path.name))


def is_inspect_document(head: bytes) -> bool:
    """Whether the beginning of a JSON document is that of a log."""
    return b'"eval"' in head and b'"version"' in head and b'"status"' in head


def _task_of_member(archive: BoundedArchive, header: str, into: ResultBuilder, path: Path) -> str:
    try:
        return _task(read_json(archive.read(header)))
    except ValueError as error:
        into.refuse(f"{path}:{header}", str(error))
        return ""


def _task(header: Any) -> str:
    about = header.get("eval") if isinstance(header, dict) else None
    return read_text(about.get("task")).rpartition("/")[2] if isinstance(about, dict) else ""


class _Scorer:
    """Which scorer's values are read: the one that was named, else the first one."""

    def __init__(self, named: str | None) -> None:
        self._chosen = named
        self._all: dict[str, None] = {}

    def grade(self, scores: Any) -> int:
        """The grade that it gave. Raises `ValueError` for what is neither right nor wrong."""
        if not isinstance(scores, dict) or not scores:
            return UNGRADED
        if not scores.keys() <= self._all.keys():
            self._all.update(dict.fromkeys(map(str, scores)))
        self._chosen = self._chosen or next(iter(scores))
        score = scores.get(self._chosen)
        return read_grade(score.get("value") if isinstance(score, dict) else score)

    def notes(self, file: str) -> Iterator[str]:
        """What was chosen where there was a choice."""
        others = [name for name in self._all if name != self._chosen]
        if others:
            more = ", ".join(others[:6])
            yield f"{file}: read the scorer {self._chosen!r}; --fields metric=NAME reads another one: {more}"


def _sample(sample: Any, task: str, choice: _Scorer, names: FieldNames) -> SampleRow:
    if not isinstance(sample, dict) or "id" not in sample:
        raise ValueError("no sample of inspect")
    output = _mapping(sample.get("output"))
    metadata = _mapping(sample.get("metadata"))
    first = _first(output.get("choices"))
    stop = read_text(first.get("stop_reason"))
    failed = sample.get("error") is not None
    return SampleRow(
        problem_id=read_id(metadata.get(names.id) if names.id else sample["id"]),
        text=read_text(metadata.get(names.problem)) if names.problem else _input(sample.get("input")),
        reference=read_text(sample.get("target")) or None,
        answer=read_text(output.get("completion")) or _content(_mapping(first.get("message")).get("content")),
        sample=max(0, read_count(sample.get("epoch", 1)) - 1),
        grade=UNGRADED if failed else choice.grade(sample.get("scores")),
        tokens=_tokens(sample, output),
        finished=stop not in ("max_tokens", "model_length"),
        cluster=read_text(metadata.get(names.cluster)) or None if names.cluster else None,
        benchmark=task,
    )


def _tokens(sample: Mapping[str, Any], output: Mapping[str, Any]) -> int:
    """The output tokens of the solver's reply; where they are not told, those of all calls of the sample's model."""
    usage = _mapping(output.get("usage"))
    if not usage:
        usage = _mapping(_mapping(sample.get("model_usage")).get(read_text(output.get("model"))))
    return read_count(usage.get("output_tokens"))


def _input(value: Any) -> str:
    """The problem: a text, or the last message of the user."""
    if isinstance(value, list):
        users = [one for one in value if isinstance(one, dict) and one.get("role") == "user"]
        return _content(users[-1].get("content")) if users else ""
    return read_text(value)


def _content(value: Any) -> str:
    if isinstance(value, list):
        parts = [part.get("text") for part in value if isinstance(part, dict) and part.get("type") == "text"]
        return "\n".join(text for text in parts if isinstance(text, str))
    return read_text(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: Any) -> Mapping[str, Any]:
    return _mapping(value[0]) if isinstance(value, list) and value else {}
