"""Traces that exist already, as an author: rows of a file or data set, found by the text of their problem.

Nothing is asked and nothing is paid. A problem that no row has is absent: no trace, and the funnel says so. So it does
of rows that nobody asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

import numpy as np

from lakon.core.errors import InputError, near_miss
from lakon.core.protocols import Payload, Reply

BEYOND, ELSEWHERE, WITHOUT = "rows_beyond_samples", "rows_of_other_problems", "problems_without_trace"
"""Why a row is no trace (its problem has as many as the study asks for, or is no problem of the study), and what no row
is about."""
_ASSISTANTS = frozenset({"assistant", "gpt", "model"})
_SEEN = 1000
"""Values of the first field of `where` that are remembered, for the message when nothing fits."""

Split = Callable[[str], tuple[str, str, bool]]
"""A whole text to (reasoning, answer, whether the reasoning was finished)."""
SplitMessage = Callable[[Mapping[str, object]], tuple[str, str, bool]]
"""A chat message to the same."""
ReadPath = Callable[[object, str], object]
"""The value at a dotted path of a row."""
Rows = Iterable[tuple[str, Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Where the parts of a trace stand in a row; see `RecordedTeacher` in the study."""

    problem: str
    reasoning: str | None = None
    answer: str | None = None
    text: str | None = None
    messages: str | None = None
    finish: str | None = None
    tokens: str | None = None
    where: Mapping[str, str]
    max_tokens: int | None = None


class RecordedAuthor:
    """Replays recorded rows: the i-th row of a problem is its sample i. Rows are read once and not kept."""

    paid: Literal[False] = False

    def __init__(
        self,
        rows: Callable[[], Rows],
        fields: Fields,
        *,
        split: Split,
        split_message: SplitMessage,
        read_path: ReadPath,
        digest: str,
    ) -> None:
        self._rows, self._fields, self._read_path = rows, fields, read_path
        self._split, self._split_message = split, split_message
        parts = {name: getattr(fields, name) for name in ("reasoning", "answer", "text", "messages")}
        self.unused: Mapping[str, int] = {}
        self.identity: object = {"recorded": digest, "where": dict(fields.where), "fields": parts}

    def replies(self, prompts: Iterable[str], samples: int) -> Iterator[tuple[int, int, Payload]]:
        """Which of the prompts, which of its samples, and the recorded row, in the order of the rows; prompts of one
        text (problems with two references) share them. Raises `InputError` when no row fits."""
        index = _Prompts(prompts)
        counts = array("I", bytes(4 * len(index)))
        self.unused = unused = {BEYOND: 0, ELSEWHERE: 0, WITHOUT: 0}
        for where, row in self._fitting():
            alike = index.alike(self._need(row, self._fields.problem, where))
            if not alike:
                unused[ELSEWHERE] += 1
                continue
            sample = counts[alike[0]]
            for number in alike:
                counts[number] += 1
            if sample >= samples:
                unused[BEYOND] += 1
                continue
            payload = self._payload(row, where)
            yield from ((number, sample, payload) for number in alike)
        unused[WITHOUT] = counts.count(0)

    def _fitting(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The rows that `where` names. Raises `InputError` when there are none."""
        fields, fitting, values = self._fields, False, set[str]()
        for where, row in self._rows():
            if len(values) < _SEEN:
                values.update(
                    str(value) for name in list(fields.where)[:1] if (value := self._read_path(row, name)) is not None
                )
            if all(str(self._read_path(row, name)) == value for name, value in fields.where.items()):
                fitting = True
                yield where, row
        if not fitting:
            self._nothing_matches(values)

    def parse(self, payload: Payload) -> Reply:
        """The recorded parts in the common schema; one text is taken apart by its reasoning tags."""
        if "error" in payload:
            return Reply(error=str(payload["error"]))
        reasoning, answer = str(payload.get("reasoning") or ""), payload.get("answer")
        finished = True
        if "message" in payload:
            reasoning, answer, finished = self._split_message(cast("Mapping[str, object]", payload["message"]))
        elif answer is None:
            reasoning, answer, finished = self._split(str(payload.get("text") or ""))
        tokens = payload.get("tokens")
        n_tokens = _whole(tokens)
        return Reply(
            reasoning=reasoning,
            answer=str(answer),
            completion_tokens=n_tokens,
            finish_reason=self._finish(payload, n_tokens, finished),
        )

    def _finish(self, payload: Payload, n_tokens: int | None, finished: bool) -> str | None:
        recorded = payload.get("finish")
        if recorded is not None:
            return str(recorded)
        cap = self._fields.max_tokens
        if (cap is not None and n_tokens is not None and n_tokens >= cap) or not finished:
            return "length"
        return "stop" if cap is not None else None

    def _payload(self, row: Mapping[str, object], where: str) -> Payload:
        fields = self._fields
        named = {"reasoning": fields.reasoning, "finish": fields.finish, "tokens": fields.tokens}
        payload: dict[str, object] = {part: self._read_path(row, name) for part, name in named.items() if name}
        if fields.messages is not None:
            payload["message"] = self._message(row, fields.messages, where)
        elif fields.answer is not None:
            payload["answer"] = self._need(row, fields.answer, where)
        elif fields.text is not None:
            payload["text"] = self._need(row, fields.text, where)
        return payload

    def _message(self, row: Mapping[str, object], name: str, where: str) -> Mapping[str, object]:
        """The last message that the assistant wrote, under the roles of chats (`role`) or of ShareGPT (`from`)."""
        self._need(row, name, where)
        listed = self._read_path(row, name)
        if isinstance(listed, str):
            with contextlib.suppress(ValueError):
                listed = json.loads(listed)
        messages = cast("list[object]", listed) if isinstance(listed, list) else []
        for message in reversed(messages):
            fields = cast("Mapping[str, object]", message) if isinstance(message, dict) else {}
            if str(fields.get("role", fields.get("from"))) in _ASSISTANTS:
                return {**fields, "content": fields.get("content", fields.get("value"))}
        return {"content": ""}  # nobody answered: an empty answer, to be graded as one

    def _need(self, row: Mapping[str, object], name: str, where: str) -> str:
        value = self._read_path(row, name)
        if value is None and name.split(".")[0] in row:
            return ""  # there, but null: an empty answer, to be graded as one
        if value is None:
            raise InputError(
                f"no field {name!r}",
                near_miss(name, [str(key) for key in row]),
                "name the right field in the study",
                where=where,
            )
        return str(value)

    def _nothing_matches(self, values: set[str]) -> NoReturn:
        name, value = next(iter(self._fields.where.items()), ("", ""))
        found = f"no row with {name} = {value!r}" if name else "no row at all"
        raise InputError(
            found, near_miss(value, values) if values else "at least one row", "check `where` and the path"
        )


_MOST = 2**53
"""No count of tokens, and beyond it numbers in files are no longer whole."""


def _whole(value: object) -> int | None:
    """A count as files have it: 512, 512.0 or "512"; anything else is no count."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else float("nan")
    except ValueError:
        return None
    return int(number) if 0 <= number < _MOST and number.is_integer() else None


class _Prompts:
    """The texts that are asked about, by digests without regard to white space, in which copies of one data set differ:
    16 bytes of each and its number, because those of all problems lie in memory."""

    def __init__(self, texts: Iterable[str]) -> None:
        halves = array("Q")
        for text in texts:
            halves.frombytes(_print(text))
        prints = np.frombuffer(halves, dtype=np.uint64).reshape(-1, 2)
        order = np.lexsort((prints[:, 1], prints[:, 0]))  # stable: twins stay in their order
        self._order = array("I", order.astype(np.uint32).tobytes())
        self._first, self._second = (array("Q", prints[order, half].tobytes()) for half in (0, 1))

    def __len__(self) -> int:
        return len(self._order)

    def alike(self, text: str) -> list[int]:
        """The numbers of the prompts that are this text."""
        first, second = array("Q", _print(text))
        start = end = bisect_left(self._first, first)
        while end < len(self) and self._first[end] == first:
            end += 1
        return [self._order[i] for i in range(start, end) if self._second[i] == second]


def _print(text: str) -> bytes:
    return hashlib.blake2b(" ".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()
