"""From pydantic's errors to faults in the words of the study file: dotted places, near misses, what to do.

A union's errors name its branches in their location; a user has never heard of those, so they are taken out. What is
broken can be replaced by a stand-in, so that the sound rest is checked in the same run.
"""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import BaseModel, ValidationError

from lakon.core.errors import Fault, near_miss
from lakon.study.schema import Study


def faults_from(errors: Iterable[Any]) -> list[Fault]:
    """One fault for each place that a validation error names."""
    listed = [dict(error) for error in errors]
    return _merged([_fault(error) for error in listed if not _is_emptied(error, listed)])


def _is_emptied(error: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> bool:
    """A list that is empty for pydantic only because what stands in it is broken."""
    n = len(error["loc"])
    return error["type"] == "too_short" and any(len(o["loc"]) > n and o["loc"][:n] == error["loc"] for o in errors)


def is_broken(part: str, faults: Iterable[Fault]) -> bool:
    """Whether one of the faults stands at this part of the study or within it."""
    return any(f"{fault.where}.".replace("[", ".").startswith(f"{part}.") for fault in faults)


def _merged(faults: list[Fault]) -> list[Fault]:
    """One fault a place: a field that may be one of several types gives an error for each of them."""
    places: dict[tuple[str, str], Fault] = {}
    for fault in faults:
        before = places.setdefault((fault.where, fault.found), fault)
        if before.expected != fault.expected:
            places[fault.where, fault.found] = before._replace(expected=f"{before.expected}, or {fault.expected}")
    return list(places.values())


def _fault(error: dict[str, Any]) -> Fault:
    loc = tuple(error["loc"])
    where = _dotted(loc)
    found = f"{error['input']!r}" if not isinstance(error["input"], (dict, BaseModel)) else "a table"
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _fields_at(loc[:-1])
        return Fault(where, f"unknown field {loc[-1]!r}", near_miss(str(loc[-1]), known), "rename or remove it")
    if kind == "missing":
        return Fault(where, "nothing", f"a value for {loc[-1]!r}", f"add {loc[-1]} = ...")
    if kind == "union_tag_invalid":
        tag, expected = error["ctx"]["tag"], error["ctx"]["expected_tags"].replace("'", "")
        return Fault(f"{where}.kind", repr(tag), near_miss(tag, expected.split(", ")), f"use one of: {expected}")
    if kind == "union_tag_not_found":
        return Fault(where, "no field 'kind'", "a kind", 'add kind = "..." (see `lakon new` for a study to start from)')
    if kind == "value_error" and "; expected " in str(error["msg"]):
        parts = str(error["msg"]).removeprefix("Value error, ").split("; ")
        return Fault(where, parts[0].removeprefix("found "), parts[1].removeprefix("expected "), parts[-1])
    if kind == "too_short":
        return Fault(where, found, "at least one value", "add one, or leave the field out")
    if kind == "string_pattern_mismatch" and "[A-Za-z_]" in str(error["msg"]):
        return Fault(where, found, "package.module:name for one of your own", "change the value")
    if kind == "string_pattern_mismatch":
        return Fault(where, found, "lower-case letters, digits, dots, dashes and underscores", "rename it")
    return Fault(where, found, _in_words(kind, str(error["msg"])), "change the value")


_WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": 'a text in "quotes"',
    "tuple": "a list", "list": "a list", "dict": "a table", "model": "a table",
}  # fmt: skip
"""What a value should have been, by the first word of pydantic's name for the error."""


def _in_words(kind: str, message: str) -> str:
    """What was expected, in words of the study file: pydantic speaks of dictionaries, instances and parsing."""
    of_type = kind.endswith(("_type", "_parsing", "_from_float", "_attributes_type"))
    word = _WORDS.get(kind.partition("_")[0]) if of_type else None
    return word or message.removeprefix("Input should be ")


_KINDS = {"jsonl", "parquet", "synthetic", "huggingface", "procedural", "recorded", "endpoint", "checkpoint", "[key]"}
_TYPE_PARTS = ("literal[", "constrained-", "function-", "tuple[", "AtLeast")
"""How pydantic names the branches of a union in a location."""
_PLAIN = ("str", "int", "float", "bool")
"""The same, where a branch is a type of Python's: never before the third place, where names of the study may stand."""


def _parts(loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """Pydantic's location without the union tags."""
    return tuple(part for i, part in enumerate(loc) if not (i > 0 and _is_tag(loc, i)))


def _is_tag(loc: Sequence[str | int], i: int) -> bool:
    part = loc[i]
    if part in _KINDS:
        return (loc[0] == "problems" and i == 1) or i == 2 or part == "[key]"
    return str(part).startswith(_TYPE_PARTS) or (part in _PLAIN and i > 2 and i == len(loc) - 1)


def _dotted(loc: Sequence[str | int]) -> str:
    """`teachers.a.sampling.top_p`."""
    return ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in _parts(loc)).replace(".[", "[")


def _fields_at(loc: Sequence[str | int]) -> list[str]:
    """The fields of the model at a pydantic location: walks annotations, unions by their tag."""
    at: object = Study
    for part in loc:
        at = _inside(at, part)
    return sorted({name for model in _models(at) for name in model.model_fields})


def _inside(at: object, part: str | int) -> object:
    for model in _models(at):
        if part in model.model_fields:
            return model.model_fields[str(part)].annotation
        kind = model.model_fields.get("kind")
        if kind is not None and kind.default == part:
            return model
    args = typing.get_args(at)
    return args[-1] if typing.get_origin(at) is dict else args[0] if args else at


def _models(at: object) -> list[type[BaseModel]]:
    if isinstance(at, type) and issubclass(at, BaseModel):
        return [at]
    if typing.get_origin(at) in (Annotated, typing.Union, types.UnionType):
        return [model for arg in typing.get_args(at) for model in _models(arg)]
    return []


_STAND_INS: dict[str, dict[str, Any]] = {
    "teachers": {"kind": "procedural", "procedure": "verbose"},
    "benchmarks": {"kind": "synthetic", "count": 1},
    "problems": {"kind": "synthetic", "count": 1},
}
_FLOORS = 4
"""How far above what is broken its surroundings may have to be taken out: `teachers.a.sampling.top_p`."""


def sound_rest(raw: Mapping[str, Any], errors: Iterable[Any]) -> Study | None:
    """The study without what is broken: first the fields alone, then what holds them, if it cannot be without them.

    None when nothing sound is left.
    """
    sound = copy.deepcopy(dict(raw))
    for floor in range(_FLOORS):
        # The last first: taking one out of a list moves those behind it.
        for loc in reversed(dict.fromkeys(_up(error["loc"], floor) for error in errors)):
            _take_out(sound, loc)
        try:
            return Study.model_validate(sound)
        except ValidationError as error:
            errors = error.errors()
    return None


def _up(loc: Sequence[str | int], floors: int) -> tuple[str | int, ...]:
    parts = _parts(loc)
    named = parts[: max(1, len(parts) - floors)]
    return (*named, "[key]") if loc[-1] == "[key]" and not floors else named


def _take_out(sound: dict[str, Any], loc: tuple[str | int, ...]) -> None:
    """Remove what stands at a location, or put something sound in its place where a study cannot be without."""
    head, verify = str(loc[0]), sound.get("verify")
    if loc[-1] == "[key]":  # the name itself
        _remove(sound, loc[:-1])
    elif len(loc) == 1 and head in ("problems", "name", "teachers"):
        stand_ins = {"name": "x", "teachers": {"x": _STAND_INS["teachers"]}, "problems": _STAND_INS["problems"]}
        sound[head] = stand_ins[head]
    elif len(loc) == 2 and head in ("teachers", "benchmarks", "arms") and isinstance(sound.get(head), dict):
        sound[head][loc[1]] = _STAND_INS.get(head) or {"teacher": next(iter(sound.get("teachers") or ["x"]))}
    elif head == "verify" and len(loc) <= 2 and isinstance(verify, dict) and "judge" in verify:
        sound["verify"] = {"policy": "judge", "judge": {"model": "x"}}  # else its endpoint would seem to be nobody's
    else:
        _remove(sound, loc)


def _remove(sound: dict[str, Any], loc: Sequence[str | int]) -> None:
    at: Any = sound
    for part in loc[:-1]:
        at = at.get(part) if isinstance(at, dict) else at[part] if _is_within(at, part) else None
    if isinstance(at, dict):
        at.pop(loc[-1], None)
    elif _is_within(at, loc[-1]):
        del at[loc[-1]]


def _is_within(at: object, part: str | int) -> bool:
    return isinstance(at, list) and isinstance(part, int) and part < len(cast("list[Any]", at))
