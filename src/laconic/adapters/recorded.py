"""Traces that exist already, as an author: rows of a file or data set, found by the text of their problem.

Nothing is asked and nothing is paid. A problem that no row has is absent: no trace, and the funnel says so.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from laconic.core.errors import InputError, near_miss
from laconic.core.protocols import ABSENT, Payload, Reply, Request

Split = Callable[[str], tuple[str, str, bool]]
"""A whole text to (reasoning, answer, whether the reasoning was finished)."""
Dig = Callable[[object, str], object]
"""The value at a dotted path of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Where the parts of a trace stand in a row; see `RecordedTeacher` in the study."""

    problem: str
    reasoning: str | None = None
    answer: str | None = None
    text: str | None = None
    finish: str | None = None
    tokens: str | None = None
    where: Mapping[str, str]
    max_tokens: int | None = None


class RecordedAuthor:
    """Replays recorded rows: the i-th row of a problem is its sample i."""

    paid = False

    def __init__(
        self,
        rows: Iterable[tuple[str, Mapping[str, object]]],
        fields: Fields,
        *,
        split: Split,
        dig: Dig,
        digest: str,
    ) -> None:
        self._fields, self._split, self._dig = fields, split, dig
        parts = {name: getattr(fields, name) for name in ("reasoning", "answer", "text")}
        self.identity: object = {"recorded": digest, "where": dict(fields.where), "fields": parts}
        self._rows: dict[str, list[Payload]] = defaultdict(list)
        seen: set[str] = set()
        for where, row in rows:
            seen.update(str(value) for name in list(fields.where)[:1] if (value := dig(row, name)) is not None)
            if all(str(dig(row, name)) == value for name, value in fields.where.items()):
                self._rows[_normal(self._need(row, fields.problem, where))].append(self._payload(row, where))
        if not self._rows:
            self._nothing_matches(seen)

    def ask(self, requests: Sequence[Request], put: Callable[[str, Payload], None]) -> None:
        """Hand over the recorded row of each request, or that there is none."""
        for request in requests:
            rows = self._rows.get(_normal(request.prompt), [])
            put(
                request.key,
                rows[request.sample_index] if request.sample_index < len(rows) else {"error": ABSENT},
            )

    def parse(self, payload: Payload) -> Reply:
        """The recorded parts in the common schema; one text is taken apart by its reasoning tags."""
        if "error" in payload:
            return Reply(error=str(payload["error"]))
        reasoning, answer = str(payload.get("reasoning") or ""), payload.get("answer")
        finished = True
        if answer is None:
            reasoning, answer, finished = self._split(str(payload.get("text") or ""))
        tokens = payload.get("tokens")
        n_tokens = _whole(tokens)
        return Reply(
            reasoning=reasoning, answer=str(answer), completion_tokens=n_tokens,
            finish_reason=self._finish(payload, n_tokens, finished),
        )  # fmt: skip

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
        if fields.answer is None and fields.text is None:
            raise InputError(
                "a recorded teacher without fields",
                "answer_field or text_field",
                "say where its answer or text stands",
            )
        named = {
            "reasoning": fields.reasoning, "answer": fields.answer, "finish": fields.finish, "tokens": fields.tokens,
        }  # fmt: skip
        payload: dict[str, object] = {part: self._dig(row, name) for part, name in named.items() if name}
        if fields.answer is not None:
            payload["answer"] = self._need(row, fields.answer, where)
        elif fields.text is not None:
            payload["text"] = self._need(row, fields.text, where)
            payload.pop("answer", None)
        return payload

    def _need(self, row: Mapping[str, object], name: str, where: str) -> str:
        value = self._dig(row, name)
        if value is None and name.split(".")[0] in row:
            return ""  # there, but null: an empty answer, to be graded as one
        if value is None:
            raise InputError(
                f"no field {name!r}", near_miss(name, [str(key) for key in row]), "name the right field in the study",
                where=where,
            )  # fmt: skip
        return str(value)

    def _nothing_matches(self, seen: set[str]) -> None:
        name, value = next(iter(self._fields.where.items()), ("", ""))
        found = f"no row with {name} = {value!r}" if name else "no row at all"
        raise InputError(found, near_miss(value, seen) if seen else "at least one row", "check `where` and the path")


def _whole(value: object) -> int | None:
    """A count as files have it: 512, 512.0 or "512"; anything else is no count."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else float("nan")
    except ValueError:
        return None
    return int(number) if math.isfinite(number) and number >= 0 and number.is_integer() else None


def _normal(text: str) -> str:
    """Problem texts are compared without regard to white space: copies of one data set differ there."""
    return " ".join(text.split())
