"""Units after (or before) a number: which say the same, which convert, and which contradict each other.

Invariant: a unit that only one side writes never decides; units that both sides write must agree, after conversion
when both measure the same thing. An unknown word after a number is a unit that agrees with everything.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from lakon.domains.math.parse.clean import FUNCTIONS, UNITS_LIKE_FUNCTIONS
from lakon.domains.math.tables import load_table


@dataclass(frozen=True, slots=True)
class Unit:
    """What is measured (`length`, `currency`, ...; empty when unknown), its size, its power and its own name."""

    name: str
    measures: str = ""
    size: Fraction = Fraction(1)
    power: int = 1


_CURRENCY = re.compile(r"\\usd\s*")
_DEGREE = re.compile(r"\s*\^\s*\{\\circ\}\s*(?:(?:\\text\{\s*)?(?P<scale>[CF])(?![a-z])\s*\}?)?\s*\Z")
_TEMPERATURES = {"C": "celsius", "F": "fahrenheit"}
_DEGREES_OF = re.compile(r"degrees? (?=(?:celsius|fahrenheit)\Z)")
_RATE = re.compile(
    r"\s*(?:/\s*(?:\\text\s*\{)?|(?:\\text\s*\{)?\s*(?:per|an?|each|every)\s)\s*(?P<what>[A-Za-z]+)\s*\}?\s*\.?\s*\Z"
)
_HAN_SQUARED = re.compile(r"(平方|立方)(?=.)")
_HAN_SCALE = re.compile(r"[百千万萬亿億](?![克米])")
_MINUTES = re.compile(r"(\d{1,4})\s*\^\s*\{\s*\\circ\s*\}\s*(\d{1,2})\s*'\s*(?:(\d{1,2})\s*(?:''|\"))?")
_TRIGONOMETRIC = re.compile(r"(?:sin|cos|tan|cot|sec|csc|cis)(?![a-z])")
_PERCENT = re.compile(r"\s*\\?%\s*\Z")
_WRAPPED = re.compile(r"\s*\\text\s*\{(?P<words>[^{}]*)\}\s*(?:\^\s*\{?\s*(?P<power>-?\d)\s*\}?)?\s*\.?\s*\Z")
_BARE = re.compile(
    r"(?<=[\d}).!])\s*(?P<words>(?:per\s+|square\s+|sq\.?\s*|cubic\s+)?[A-Za-z]{2,}(?:[\s./-]+[A-Za-z.]+)*)\s*(?:\^\s*\{?\s*(?P<power>\d)\s*\}?)?\s*\.?\s*\Z"
)
_QUOTIENT = re.compile(
    r"\\frac\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}\s*\{\s*\\text\s*\{([^{}]*)\}\s*(?:\^\s*\{?\s*(\d)\s*\}?)?\s*\}\s*\Z"
)
_FACTOR_IN_TEXT = r"\\text\s*\{[^{}]*\}\s*+(?:\^\s*(?:-?\d|\{\s*-?\d\s*\})\s*+)?"
_FACTORS = re.compile(rf"{_FACTOR_IN_TEXT}(?:[/*]?\s*{_FACTOR_IN_TEXT})+\Z")
_FACTOR = re.compile(
    r"(?:(square|sq|cubic|cu) )?([a-z]+|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]+)(?: (squared|cubed)|\^\{?(-?\d)\}?)?"
)
_HAN = re.compile(r"(?<=[\d})])\s*(?P<words>[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{1,6})(?P<power>)\s*\Z")


@cache
def _known_units() -> dict[str, tuple[str, Fraction]]:
    """Each unit's name to what it measures and its size."""
    measures: dict[str, dict[str, str]] = load_table("shapes/units.toml")["measures"]
    known: dict[str, tuple[str, Fraction]] = {}
    for measure, sizes in measures.items():
        for size, names in sizes.items():
            known |= dict.fromkeys(names.split(), (measure, Fraction(size)))
    return known


@cache
def _short_units() -> frozenset[str]:
    return frozenset(load_table("shapes/units.toml")["written"]["short"].split())


@cache
def _never_units() -> frozenset[str]:
    return FUNCTIONS | frozenset(load_table("shapes/units.toml")["written"]["never"].split())


@cache
def _number_in_parts() -> re.Pattern[str]:
    names = "|".join(load_table("shapes/number_words.toml")["parts"])
    return re.compile(rf"(?<![\d.,/^_])(\d{{1,20}})[\s-]*(?:\\text\s*\{{\s*)?(?:-\s*)?({names})\s*\}}?\s*\Z")


def split_unit(text: str) -> tuple[str, Unit | None]:
    """A cleaned scalar without its unit, and the unit; None when it has none."""
    if "\\usd" in text:
        body = _CURRENCY.sub("", text).strip()
        rate = _RATE.search(body)
        if rate and rate["what"].lower() in _known_units() and body[: rate.start()].strip():
            return body[: rate.start()].strip(), find_unit(f"usd/{rate['what']}", 1)
        rest, after = split_unit(body)
        cents = after is not None and after.measures == "currency"
        return rest, after if cents else Unit("usd", "currency")
    minutes = _MINUTES.fullmatch(text)
    if minutes:
        return f"{minutes[1]}+{minutes[2]}/60+{minutes[3] or 0}/3600", find_unit("degree", 1)
    if text.count("^{\\circ}") > 1 and not _TRIGONOMETRIC.search(text) and "\\pi" not in text:
        return text.replace("^{\\circ}", " "), find_unit("degree", 1)
    for pattern, name in ((_DEGREE, "degree"), (_PERCENT, "percent")):
        match = None if name == "degree" and _TRIGONOMETRIC.search(text) else pattern.search(text)
        if match and text[: match.start()].strip():
            of = match.groupdict().get("scale")
            return text[: match.start()].strip(), find_unit(_TEMPERATURES[of] if of else name, 1)
    text = _written_together(text) if text.count("\\text") > 1 else text
    for pattern in (_WRAPPED, _BARE, _HAN):
        match = pattern.search(text)
        if match and pattern is _BARE and _may_be_product(match[0]):
            continue
        if match and _is_unit(match["words"]) and re.search(r"[\d}\w)]", text[: match.start()]):
            return text[: match.start()].strip(), find_unit(match["words"], int(match["power"] or 1))
    return text, None


_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*(?:\\text\s*\{)?\s*([A-Za-z]{1,12})\s*(?:\\?and\b\s*)?\}?")
_BETWEEN_QUANTITIES = re.compile(r"(?:\s|\\and\b)*")


def read_in_parts(text: str) -> tuple[str, Unit] | None:
    """A quantity written in descending units of one measure, such as feet and inches, in the last of them."""
    parts: list[tuple[Fraction, Unit]] = []
    position = 0
    while position < len(text) and len(parts) < 4:
        quantity = _QUANTITY.match(text, position)
        if not quantity:
            return None
        parts.append((Fraction(quantity[1]), find_unit(quantity[2], 1)))
        between = _BETWEEN_QUANTITIES.match(text, quantity.end())
        position = between.end() if between else quantity.end()
    units = [unit for _, unit in parts]
    descending = all(a.size > b.size for a, b in itertools.pairwise(units))
    if position < len(text) or len(parts) < 2 or not units[0].measures or not descending:
        return None
    if any(unit.measures != units[0].measures for unit in units):
        return None
    total = sum((number * unit.size for number, unit in parts), Fraction(0)) / units[-1].size
    return (str(total.numerator) if total.denominator == 1 else f"{total.numerator}/{total.denominator}"), units[-1]


def _written_together(text: str) -> str:
    """`\\frac{\\text{m}}{\\text{s}}`, `\\text{m}/\\text{s}` and `\\text{m} \\text{s}^{-1}` in one `\\text`."""
    text = _QUOTIENT.sub(lambda m: rf"\text{{{m[1]}/{m[2]}{f'^{m[3]}' if m[3] else ''}}}", text)
    factors = _FACTORS.search(text)
    if not factors:
        return text
    inside = re.sub(r"[{}]", "", re.sub(r"\\text\s*\{([^{}]*)\}", r" \1", factors[0]))
    together = re.sub(r"\s*([/*^])\s*", r"\1", inside).strip()
    return f"{text[: factors.start()]}\\text{{{together}}}"


def _may_be_product(written: str) -> bool:
    """`15xy` and `15 xy` are products of unknowns; `15cm`, `15 men` and `15apples` are not."""
    word = re.sub(r"[^A-Za-z].*", "", written.strip())
    short = len(word) <= 2 if written[:1].isspace() else len(word) <= 3
    return short and word.lower() not in _known_units() and word.lower() not in _short_units()


def write_fraction(text: str) -> str:
    """`5 \\text{ halves}` as a fraction."""
    match = _number_in_parts().search(text)
    if not match:
        return text
    bottom = load_table("shapes/number_words.toml")["parts"][match[2]]
    return rf"{text[: match.start()]}\frac{{{match[1]}}}{{{bottom}}}"


def _is_unit(words: str) -> bool:
    if _HAN_SCALE.match(words.strip()):
        return False  # a part of the number
    latin_words = re.findall(r"[A-Za-z]+", words)
    named = latin_words[:-1] if latin_words and latin_words[-1] in UNITS_LIKE_FUNCTIONS else latin_words
    return not any(word in _never_units() for word in named) and len(latin_words) <= 6


def find_unit(words: str, power: int) -> Unit:
    """The unit that the words name: one of the table, or a product and quotient of such."""
    quotients: dict[str, str] = load_table("shapes/units.toml")["quotients"]
    text = re.sub(r"\s+", " ", words.lower().replace(".", "")).strip(" -,")
    text = re.sub(r"\s*(?:/|\bper\b)\s*", "/", quotients.get(text, _DEGREES_OF.sub("", text)))
    raised = _HAN_SQUARED.match(text)
    if raised:
        return find_unit(text[raised.end() :], 2 if raised[1] == "平方" else 3)
    above, *below = text.split("/")
    powers: list[tuple[str, int]] = []
    for sign, part in ((1, above), *((-1, part) for part in below)):
        factors = _factors(part)
        if factors is None:
            return Unit(text, "", Fraction(1), power)
        powers.extend((name, raised * sign) for name, raised in factors)
    if power != 1:
        powers[-1] = (powers[-1][0], powers[-1][1] * power)
    return _multiplied(powers)


def _factors(text: str) -> list[tuple[str, int]] | None:
    """The factors of one side of a quotient with their powers; None when a word is not in the table."""
    powers: dict[str, int] = load_table("shapes/units.toml")["powers"]
    factors: list[tuple[str, int]] = []
    position = 0
    while position < len(text):
        match = _FACTOR.match(text, position)
        name = "inch" if match and match[2] == "in" else match[2] if match else ""
        if not match or name not in _known_units():
            return None
        factors.append((name, powers.get(match[1] or match[3] or "", int(match[4] or 1))))
        position = match.end()
        while position < len(text) and text[position] in " *":
            position += 1
    return factors or None


def _multiplied(factors: list[tuple[str, int]]) -> Unit:
    name, power = factors[0]
    if len(factors) == 1:
        return Unit(name, *_known_units()[name], power)
    size = Fraction(1)
    for other, raised in factors:
        size *= _known_units()[other][1] ** raised
    return Unit(name, " ".join(sorted(f"{_known_units()[other][0]}^{raised}" for other, raised in factors)), size)


def find_factor(ours: Unit | None, theirs: Unit | None) -> Fraction | None:
    """What the second number must be multiplied by to be in the first one's unit; None when they contradict."""
    if ours is None or theirs is None or not ours.measures or not theirs.measures:
        return Fraction(1)
    if ours.measures != theirs.measures:
        if {ours.measures, theirs.measures} in ({"angle", "celsius"}, {"angle", "fahrenheit"}):
            return Fraction(1)  # degrees of no named scale
        return Fraction(1) if _slip(ours, theirs) or _slip(theirs, ours) else None
    if ours.power != theirs.power:  # "15 cm" for an area is a slip of the unit, "15 cm^3" is another answer
        slip = ours.size == theirs.size and 1 in (ours.power, theirs.power) and min(ours.power, theirs.power) > 0
        return Fraction(1) if slip else None
    return (theirs.size / ours.size) ** ours.power


def _slip(short: Unit, long: Unit) -> bool:
    """Whether one is the other without its denominator: `\\$15` for 15 dollars per hour."""
    return short.power == 1 and _known_units()[long.name] == (short.measures, short.size)
