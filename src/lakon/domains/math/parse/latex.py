r"""LaTeX in one spelling: a table for what is one command for another, a named function for everything else.

The table (`latex_commands.toml`) is applied in one pass, so its rows cannot act on each other. The functions can: the
order in `rewrite_latex` matters where its comments say so.
"""

from __future__ import annotations

import re
from functools import cache

from lakon.domains.math.tables import load_table

_COMMAND = re.compile(r"\\([A-Za-z][a-z]*)|!=|\*{2,}")
"""A command, as far as its small letters go: authors write `\\cdotX` for `\\cdot X`."""
_SIZED_NOTHING = re.compile(r"\\(?:left|right)\s*\.")
_SIZE = re.compile(r"\\(?:left|right|middle|bigg?[lrm]?|Bigg?[lrm]?)(?![A-Za-z])\s*")
_BARE_COMMAND = re.compile(r"(?<![A-Za-z\\])(frac|sqrt)(?=\s*\{)")
_ROOT_OF_DIGITS = re.compile(r"(?<![A-Za-z])\\?sqrt\s*(\d{2,})(?![\d.])")
_MINUS_IN_WORDS = re.compile(r"(?<![A-Za-z\\])(?:negative|minus)\s+(?=[\d\\$])")
_INFINITY_IN_WORDS = re.compile(r"(?<![A-Za-z\\])(?:infinity|inf)(?![A-Za-z])")
_CHOOSE = re.compile(r"\{([^{}]*)\\choose(?![a-z])([^{}]*)\}")
_CHOOSE_ALONE = re.compile(r"\A([^{}]*)\\choose(?![a-z])([^{}]*)\Z")
_OVER = re.compile(r"\{([^{}]*)\\over(?![a-z])([^{}]*)\}")
_REALS = re.compile(r"\\(?:bf|mathbf|mathds|Bbb)\s*\{?R\}?(?![A-Za-z])")
_SET_WITHOUT_BRACES = re.compile(r"\\(?:mathbb|mathcal)\s+([A-Z])")
_DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-z])|o(?![a-z]))")
_DEGREES_RAISED_AGAIN = re.compile(r"\^\s*(?:\^\s*\{\\circ\}|\{\s*\^\s*\{\\circ\}\s*\})")
"""`90^\\degree` and `90^{\\degree}`: the macro raises its sign by itself."""
_PRIMES = re.compile(r"\^\s*\{\s*('+)\s*\}|\^\s*('+)")
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*\\(?:text|mathrm|textrm|rm)\s*\{\s*(st|nd|rd|th)\s*\}\s*\}?")
_POWER_IN_TEXT = re.compile(r"(\\(?:mathrm|text|mbox|rm)\s*\{[^{}]*)\^\s*\{\s*(-?\d)\s*\}(?=[^{}]*\})")
_SCRIPTED_C = re.compile(
    r"(?:\{\s*\}\s*)?[\^_]\s*\{?\s*(\d+)\s*\}?\s*\{?\s*C\s*\}?\s*_\s*(?:\{\s*(\d+)\s*\}|(\d))",
)
_CALLED_C = re.compile(r"(?<![A-Za-z\\])C\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_INVISIBLE = re.compile(r"\\(?:phantom|hspace|vspace|label|tag)\*?\s*\{[^{}]*\}")
_NUMBER_SIGN = re.compile(r"\\#\s*(?=\d)")
_TEXT_TO = re.compile(r"\\text\s*\{\s*to\s*\}")
_COLON = re.compile(r"(?:\\text\s*)?\{\s*:\s*\}")
_PLUS_INFINITY = re.compile(r"\+\s*\\infty")
_THOUSANDS = re.compile(
    r"(?<=\d)\s*(?:,\s*\\!|\\!\s*,|\{\s*,\s*\}|\\,|\\ |\\;|\\:|\{\\,\}|~|,\\,(?=\d{3}))\s*(?=\d{3}(?!\d))"
)
_SPACING = re.compile(r"\\[,;:> ]|\\q?quad(?![a-z])|\\(?:thin|med|thick|en)space(?![a-z])|~|\\\n")


def rewrite_latex(text: str) -> str:
    r"""`text` in the spelling that the parsers read; spaces may be left over."""
    # First, because it joins what stands before and after a size: `\left \lbrace` is `\lbrace`.
    text = _drop_sizes(text)
    # These look at what follows as it was written: at a backslash after "minus", at braces that make a group
    # (`\lbrace` becomes a brace that makes none), at the font of `\bf R`. So they come before the commands.
    text = _read_plain_names(text)
    text = _read_infix(text)
    text = _REALS.sub(r"\\mathbb{R}", text)
    text = replace_commands(text)
    # These look at what commands become: `\lt=` is `<=`, `^\prime` is `^'`, `+\infin` is `+\infty`.
    text = text.replace("<=", r"\le ").replace(">=", r"\ge ")
    text = _SET_WITHOUT_BRACES.sub(r"\\mathbb{\1}", text)
    text = _PLUS_INFINITY.sub(r"\\infty", _INFINITY_IN_WORDS.sub(r"\\infty ", text))
    text = _drop_decoration(text)
    text = _read_scripts(text)
    # Last, because the space that separates thousands is no other space: `1\,000`.
    return _drop_spacing(text)


def replace_commands(text: str) -> str:
    """Each command of the table as what it is written as, in one pass; `!=` and `**` as well."""
    return _COMMAND.sub(_replacement, text)


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    table = load_table("parse/latex_commands.toml")
    return table["commands"], table["before_no_capital"]


def _replacement(match: re.Match[str]) -> str:
    name = match[1]
    if name is None:
        return "*" if match[0][0] == "*" else r"\ne "
    commands, before_no_capital = _tables()
    written = commands.get(name)
    if written is None and name in before_no_capital and not match.string[match.end() : match.end() + 1].isupper():
        written = before_no_capital[name]
    return match[0] if written is None else written


def _drop_sizes(text: str) -> str:
    r"""`\left(` as `(`; `\right.` closes nothing that can be seen."""
    return _SIZE.sub("", _SIZED_NOTHING.sub(" ", text)) if "\\" in text else text


def _read_plain_names(text: str) -> str:
    r"""`sqrt{2}` without its backslash, `\sqrt12` for the root of 12, `minus 3`."""
    text = _BARE_COMMAND.sub(r"\\\1", text)
    text = _ROOT_OF_DIGITS.sub(r"\\sqrt{\1}", text)
    return _MINUS_IN_WORDS.sub("-", text)


def _read_infix(text: str) -> str:
    r"""`{n \choose k}` and `{a \over b}`, whose operands are all of a group."""
    if "\\choose" in text:
        text = _CHOOSE_ALONE.sub(r"\\binom{\1}{\2}", _CHOOSE.sub(r"\\binom{\1}{\2}", text))
    return _OVER.sub(r"\\frac{\1}{\2}", text) if "\\over" in text else text


def _drop_decoration(text: str) -> str:
    r"""Without `\phantom{...}`, `\label{...}` and the sign in `\#4`."""
    return _NUMBER_SIGN.sub("", _INVISIBLE.sub(" ", text)) if "\\" in text else text


def _read_scripts(text: str) -> str:
    r"""Degrees, ordinals, `{}^{5}C_{2}` and `C(5, 2)`, primes: what `^` and `_` mean when they raise nothing."""
    if "^" in text:
        text = _DEGREES_RAISED_AGAIN.sub(r"^{\\circ}", _DEGREES.sub(r"^{\\circ}", text))
        text = _ORDINAL.sub(r"\\text{\1}", text)
    text = _TEXT_TO.sub(" to ", text)
    if "C" in text:
        text = _CALLED_C.sub(r"\\binom{\1}{\2}", _SCRIPTED_C.sub(r"\\binom{\1}{\2\3}", text))
    return _PRIMES.sub(r"\1\2", text) if "'" in text else text


def _drop_spacing(text: str) -> str:
    r"""Without the space in `1\,000` and in `\!`, with a plain one for every other; `{:}` sets a colon apart."""
    text = _POWER_IN_TEXT.sub(r"\1^\2", _THOUSANDS.sub("", text))
    return _SPACING.sub(" ", _COLON.sub(":", text.replace("\\!", "")))
