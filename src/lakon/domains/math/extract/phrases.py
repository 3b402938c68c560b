"""What announces an answer, and the words beside one, as patterns built from `phrases.toml`."""

from __future__ import annotations

import re
from functools import cache

from lakon.domains.math.extract.sentence_words import match_any
from lakon.domains.math.tables import load_table


@cache
def compile_phrase() -> re.Pattern[str]:
    """What announces an answer, in all the languages of the table."""
    languages: list[dict[str, list[str]]] = list(load_table("extract/phrases.toml")["answer"].values())
    nouns = match_any(noun for language in languages for noun in language["nouns"])
    verbs = match_any(verb for language in languages for verb in language["verbs"])
    adjectives = match_any(adjective for language in languages for adjective in language["adjectives"])
    return re.compile(
        r"(?:最终|最后)?答案(?:应该|应)?(?:(?:是|为|為|等于)\s*[:：]?|[:：])|答え(?:は|[:：])|답(?:은|:)"
        r"|(?:故|应|所以|因此)?选(?:择|项)?\s*[:：]?\s*(?=[(（]?[A-Z])"
        rf"|(?:\b{nouns}\b|^\s*A(?=:))"
        r"(?P<link>\"?\s*(?:\*\*|__|\$\$?)?\s*(?:(?:to|of|for)\s[^.\n:]{0,80}?\s)?"
        rf"(?:\s?{adjectives})?\s*(?:{verbs}\b"
        r"(?:\s+(?:therefore|thus|then|simply|just|given by))?\s*:?|[:：]|=)(?:\*\*|__)?)",
        re.I | re.M,
    )


@cache
def compile_counted() -> re.Pattern[str]:
    """A word with its number: `apples 30`."""
    functions = match_any(load_table("extract/phrases.toml")["words"]["functions"])
    return re.compile(rf"(?<![A-Za-z])(?!{functions}(?![A-Za-z]))[A-Za-z]{{3,}}\s*[:(=]?\s*-?\$?\d")


@cache
def compile_qualifying() -> re.Pattern[str]:
    return re.compile(rf"\b{match_any(load_table('extract/phrases.toml')['words']['qualifying'])}\b", re.I)


@cache
def compile_numbered() -> re.Pattern[str]:
    """Numbers that count paragraphs and never an answer."""
    counted = match_any(load_table("extract/phrases.toml")["words"]["numbered"])
    return re.compile(rf"\b{counted}\s+#?\d{{1,3}}\b(?!\s*[%/])", re.I)
