"""The base of every spec: a frozen pydantic model that refuses unknown fields and knows its payload.

A spec says *what* is computed; its payload goes into keys with defaults left out, so that a new field with a
default moves no existing key. Where and how fast a thing runs stands in `Run`, which has no payload.
"""

from __future__ import annotations

import typing
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A name that is safe as a folder, a label and a table key: lower case, digits, dots, dashes."""

PluginPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""`package.module:name`, the way to plug in something of one's own."""

MatchRule = Literal["problems", "tokens", "steps"]


class Spec(BaseModel):
    """Frozen, no unknown fields, docstrings under fields become their descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, raw: object) -> object:
        """Python counts `true` as 1; whoever writes `repetition = true` means something else: it is refused as a text
        would be."""
        if not isinstance(raw, dict):
            return raw
        fields = cast("dict[str, object]", raw)
        numbers = [
            name for name, field in cls.model_fields.items() if name in fields and _has_numbers(field.annotation)
        ]
        return {**fields, **{name: _worded(fields[name]) for name in numbers}}

    def payload(self, *, exclude: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Plain values for a fingerprint: the fields that differ from their defaults, and the `kind` of what has one.
        `model_validate` of a whole payload gives an equal spec."""
        values: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            is_default = not field.is_required() and value == field.get_default(call_default_factory=True)
            if name not in exclude and not field.exclude and (name == "kind" or not is_default):
                values[name] = _plain(value)
        return values


def _plain(value: object) -> object:
    if isinstance(value, Spec):
        return value.payload()
    if isinstance(value, tuple | list):
        return [_plain(each) for each in cast("tuple[object, ...] | list[object]", value)]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in cast("dict[str, object]", value).items()}
    return value


def _has_numbers(annotation: object) -> bool:
    """Whether a field is a number, or a list or table of them."""
    return annotation is int or annotation is float or any(map(_has_numbers, typing.get_args(annotation)))


def _worded(value: object) -> object:
    if isinstance(value, list):
        return [_worded(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _worded(each) for name, each in cast("dict[str, object]", value).items()}
    return str(value).lower() if isinstance(value, bool) else value


class Sampling(Spec):
    """How an author is sampled."""

    temperature: Annotated[float, Field(ge=0, le=5)] = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling; 1 is off."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Only the so many likeliest tokens."""
    max_tokens: Annotated[int, Field(ge=1)] = 32_768
    """Most tokens an author may generate for one problem, reasoning included."""

    def identity(self) -> dict[str, Any]:
        """What belongs to a call's key: everything but the cap, so that a truncated row can be topped up."""
        return self.payload(exclude=frozenset({"max_tokens"}))
