"""One spelling for each way of writing the same LaTeX: what the string comparison compares and the parsers read.

Invariant: normalising never changes what an expression means, and cleaning twice changes nothing more; wherever a
spelling is ambiguous (a comma between digits, a letter's case, brackets) it is left as it is.
"""

from __future__ import annotations

import html
import re

from lakon.domains.math.parse.characters import replace_characters
from lakon.domains.math.parse.latex import rewrite_latex

_INVISIBLE = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f]")

_FUNCTIONS_LISTED = """
    sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh coth sech csch arcsinh arccosh arctanh
    ln log lg exp sqrt gcd lcm max min det abs floor ceil deg arg Re Im cis
    """
FUNCTIONS = frozenset(_FUNCTIONS_LISTED.split())

_STYLED = re.compile(
    r"\\(?P<command>text(?:bf|it|rm|sf|tt|normal|up|md)?|mbox|hbox|mathrm|operatorname\*?|mathbf|mathit|mathsf|mathtt|bold|boldsymbol|bm"
    r"|mathop|rm|emph|underline|vec|hat|ensuremath)\s*\{(?P<body>[^{}]*)\}"
)
_VALUE_STYLES = frozenset(
    ("mathbf", "boldsymbol", "bm", "mathit", "mathsf", "vec", "hat", "underline", "ensuremath", "bold")
)
_SYNONYMS = {"tg": "tan", "arctg": "arctan", "ctg": "cot", "cotg": "cot", "arcctg": "arccot", "cosec": "csc"}
_UNIT_LETTERS = frozenset("msghLNJWVKCAT")
_AFTER_NUMBER = re.compile(r"(?:\d|[)}]|[)}\d]\s*\*|(?:TEXT|mathrm)\{[^{}]*\}\s*(?:\^\s*\{?-?\d\}?\s*)?[/*])\s*\Z")
"""Before an upright letter that is a unit there and no unknown: a number, or another unit."""
UNITS_LIKE_FUNCTIONS = frozenset(("min", "sec", "deg"))
_END_OF_UNIT = re.compile(
    r"\s*(?:\Z|[=,.;:)\]}/$]|\\(?:text|mathrm|approx|and|or|cr|[)\]])(?![a-z])|\d{1,6}(?:\.\d{1,6})?\s*\\(?:text|mathrm)\b)"
)
_ROW_BREAK = re.compile(r"\\\\\*?(?:\s*\[-?\d*\.?\d*\s*(?:pt|em|ex|mm|cm)\])?")
_CONJUNCTION = re.compile(r"(?<![A-Za-z\\])(and|or)(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\{[^{}]*\}|[\dA-Za-z])\s*(\{[^{}]*\}|[\dA-Za-z])")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\[[^\]]*\])?\s*(\d(?!\d)|[A-Za-z](?![A-Za-z]))")
_ONE_SCRIPT = re.compile(r"([\^_])\s*\{\s*(-?[\dA-Za-z]+)\s*\}")
_SHORT_SCRIPT = re.compile(r"([\^_])\s*(\d+(?:\.\d+)?|[A-Za-z])")
_ENTITY = re.compile(r"&(?:amp;){0,9}([A-Za-z]{2,8}|#\d{1,6});")
_SPACES = re.compile(r"\s+")
_LONE_BACKSLASH = re.compile(r"(?<!\\)\\\Z")
_EMPHASIS = re.compile(r"\*\*|__(?=\S)|`")
_PYTHON_POWER = re.compile(r"(?<=[\w)\]}])\*\*(?:(-?\d+(?:\.\d+)?|[A-Za-z])|(?=\())")
_UNENDING = re.compile(r"(?<![\d.])(\d*\.)(\d{2,40})\s*(?:\\ldots|\.{3})")
_SPACE_AROUND = re.compile(r"\s*([-+*/^_=<>(){}\[\],;|])\s*")


def clean_text(text: str) -> str:
    """`text` in the one spelling that the parsers read; `\\usd` marks a currency sign, `\\and` and `\\or` join."""
    text = _INVISIBLE.sub("", text)
    if "&" in text:
        text = _ENTITY.sub(lambda m: html.unescape(f"&{m[1]};"), text)
    if not text.isascii():
        text = replace_characters(text)
    text = _LONE_BACKSLASH.sub("", _SPACES.sub(" ", text).strip())
    if "\\\\" in text:
        text = _ROW_BREAK.sub(r"\\cr ", _single_backslashes(text))
    if "**" in text or "`" in text:
        text = _EMPHASIS.sub("", _PYTHON_POWER.sub(_power_of, text)).strip()
    text = _dollars(text)
    text = _unstyle(rewrite_latex(text))
    text = _CONJUNCTION.sub(r"\\\1 ", text) if "and" in text or "or" in text else text
    text = _UNENDING.sub(_repeating, text) if "ldots" in text or "..." in text else text
    return _SPACES.sub(" ", text).strip()


def compact_text(cleaned: str) -> str:
    """A cleaned text with its optional spaces and braces decided, for comparing as a string."""
    text = _SHORT_FRACTION.sub(lambda m: f"\\frac{_braced(m[1])}{_braced(m[2])}", cleaned)
    text = _SHORT_ROOT.sub(lambda m: f"\\sqrt{m[1] or ''}{{{m[2]}}}", text)
    text = _ONE_SCRIPT.sub(r"\1{\2}", text)
    text = _SHORT_SCRIPT.sub(r"\1{\2}", text)
    text = _SPACE_AROUND.sub(r"\1", text)
    text = re.sub(r"(\\[A-Za-z]+) (?![A-Za-z])", r"\1", text)
    return text.strip().rstrip(".,;").strip()


def _power_of(match: re.Match[str]) -> str:
    return f"^{{{match[1]}}}" if match[1] else "^"


def _repeating(match: re.Match[str]) -> str:
    """`0.1666\\ldots` as `0.1\\overline{6}`: the digits must show their block twice, a single digit three times."""
    digits = match[2]
    for length in range(1, len(digits) // 2 + 1):
        start = len(digits) - 1 - length
        while start >= 0 and digits[start] == digits[start + length]:
            start -= 1
        shown = len(digits) - 1 - start
        if shown >= max(2 * length, 3):
            return f"{match[1]}{digits[: start + 1]}\\overline{{{digits[start + 1 : start + 1 + length]}}}"
    return match[0]


def _braced(part: str) -> str:
    return part if part.startswith("{") else f"{{{part}}}"


def _single_backslashes(text: str) -> str:
    """Undo one level of escaping: `\\\\frac` is never a line break followed by the word "frac" outside a matrix."""
    if "\\begin" in text and "\\\\begin" not in text:
        return text
    return re.sub(r"\\\\(?=[A-Za-z{}$%,!;:()\[\]])", r"\\", text)


_CURRENCY_SIGN = re.compile(r"\\(?:textdollar|\$)|[€£₹¥]")
_CURRENCY_CODE = re.compile(
    r"(?<![A-Za-z\\])(?:(?:Rs\b\.?|INR|USD|EUR|GBP)\s*(?=-?\d)|US\s?\\?\$\s*(?=\d))"
    r"|(?<=\d)\s+(?:Rs\.|INR|USD|EUR|GBP)(?![A-Za-z])"
)
"""A currency's letters beside a number: `Rs. 460`, `460 EUR`; elsewhere letters are unknowns."""


def _dollars(text: str) -> str:
    text = re.sub(r"\\(?:\(|\)|\[(?!\d*\.?\d*(?:pt|em|ex)\])|\])", " ", text) if "\\" in text else text
    text = _CURRENCY_CODE.sub(r"\\usd ", text)
    if "$" not in text and not _CURRENCY_SIGN.search(text):
        return text
    text = _CURRENCY_SIGN.sub(r"\\usd ", text)
    if text.count("$") == 1 and re.match(r"[-+(\s]*\$\s*-?[\d.]", text):
        return text.replace("$", r"\usd ")
    return text.replace("$", " ")


def _unstyle(text: str) -> str:
    """Fonts removed; what is text and not mathematics stays in `\\text{...}`."""
    for _ in range(4):
        changed = _STYLED.sub(_restyled, text)
        if changed == text:
            break
        text = changed
    return text.replace("\\TEXT{", "\\text{")


def _restyled(match: re.Match[str]) -> str:
    command, body = match["command"], match["body"]
    word = body.strip()
    if word in ("and", "or"):
        return f" \\{word} "
    if command in _VALUE_STYLES and not re.fullmatch(r"[A-Za-z]{2,}", word):
        return f" {body} "
    word = _SYNONYMS.get(word, word)
    before = match.string[: match.start()][-20:]
    if word in UNITS_LIKE_FUNCTIONS and _AFTER_NUMBER.search(before) and _END_OF_UNIT.match(match.string, match.end()):
        return f" \\TEXT{{{word}}} "
    if word in FUNCTIONS:
        return f" \\{word} "
    follows = match.string[match.end() : match.end() + 1]
    if command == "mathrm" and word in _UNIT_LETTERS and follows not in ("_", "(") and _AFTER_NUMBER.search(before):
        return f" \\TEXT{{{word}}} "
    if (len(word) == 1 and word.isalpha() and command in ("mathrm", "operatorname", "rm", "textit")) or not word:
        return f" {word} "
    if not re.search(r"[^\W\d_]|[\\$%]", word):
        return body
    return f" \\TEXT{{{body}}} "
