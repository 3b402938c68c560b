"""From pydantic's errors to faults in the words of the study file: dotted places, near misses, what to do.

A union's errors name its branches in their location; a user has never heard of those, so they are taken out. What is
broken can be replaced by a stand-in, so that the sound rest is checked in the same run.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel

from laconic.core.errors import Fault, near_miss
from laconic.study import Study


def faults_from(errors: Iterable[Any]) -> list[Fault]:
    """One fault for each place that a validation error names."""
    return _merged([_fault(dict(error)) for error in errors])


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
        return Fault(
            where, "no field 'kind'", "a kind", 'add kind = "..." (see `laconic new` for a study to start from)'
        )
    if kind == "value_error" and "; expected " in str(error["msg"]):
        parts = str(error["msg"]).removeprefix("Value error, ").split("; ")
        return Fault(where, parts[0].removeprefix("found "), parts[1].removeprefix("expected "), parts[-1])
    if kind == "string_pattern_mismatch" and "[A-Za-z_]" in str(error["msg"]):
        return Fault(where, found, "package.module:name for one of your own", "change the value")
    if kind == "string_pattern_mismatch":
        return Fault(where, found, "lower-case letters, digits, dots, dashes and underscores", "rename it")
    return Fault(where, found, str(error["msg"]).removeprefix("Input should be "), "change the value")


_KINDS = {"jsonl", "parquet", "synthetic", "huggingface", "procedural", "recorded", "endpoint", "checkpoint", "[key]"}


_TYPE_PARTS = ("literal[", "constrained-", "function-", "tuple[", "AtLeast")
"""How pydantic names the branches of a union in a location."""


def _dotted(loc: Sequence[str | int]) -> str:
    """`teachers.a.sampling.top_p`: pydantic's location without the union tags."""
    out: list[str] = []
    for i, part in enumerate(loc):
        if i > 0 and str(part).startswith(_TYPE_PARTS):
            continue
        if part in _KINDS and i > 0 and ((loc[0] == "problems" and i == 1) or i == 2 or part == "[key]"):
            continue
        out.append(f"[{part}]" if isinstance(part, int) else str(part))
    return ".".join(out).replace(".[", "[")


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


def stand_in(sound: dict[str, Any], loc: tuple[int | str, ...], *, unknown: bool) -> None:
    """Replace what is broken at a location by something sound, or take out what is unknown."""
    at: Any = sound
    keys = [part for i, part in enumerate(loc) if not (i > 0 and part in _KINDS)]
    if unknown:
        for key in keys[:-1]:
            if isinstance(at, dict) and key not in at:
                return  # what holds it was broken, too, and is gone
            at = at[key]
        at.pop(keys[-1], None)
    elif keys[0] in ("teachers", "benchmarks", "arms") and len(keys) > 1:
        teachers = list(sound.get("teachers", {}))
        sound_part = _STAND_INS.get(str(keys[0])) or {"teacher": teachers[0] if teachers else ""}
        sound[str(keys[0])][keys[1]] = sound_part
    elif keys[0] == "verify" and isinstance(sound["verify"], dict) and "judge" in sound["verify"]:
        sound["verify"] = {"policy": "judge", "judge": {"model": "x"}}  # else its endpoint would seem to be nobody's
    elif keys[0] in ("problems", "name", "teachers"):
        sound[str(keys[0])] = {"name": "x", "teachers": {"x": _STAND_INS["teachers"]}}.get(
            str(keys[0]), _STAND_INS["problems"]
        )
    else:
        sound.pop(str(keys[0]), None)
