"""Counting tokens: the one tokenizer in which all authors of a study are counted.

`words` needs nothing and favours nobody: a run of letters, a single digit, or a run of other marks is one piece.
It is no model's tokenizer, and reports say so; the provider's own counts stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from laconic.core.errors import InputError

WORDS = "words"


class WordCounter:
    """Pieces by a fixed rule: letters together, digits apart, other marks together, white space free."""

    name = WORDS

    def __init__(self) -> None:
        import regex

        self._piece = regex.compile(r"[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]+")

    def count(self, texts: Sequence[str]) -> list[int]:
        """Pieces of each text."""
        return [len(self._piece.findall(text)) for text in texts]


class TokenizerCounter:
    """A model's fast tokenizer, loaded from its folder or from the hub without the model."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        self.name, self._tokenizer = name, tokenizer

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not added."""
        return [len(e.ids) for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def counter(name: str) -> WordCounter | TokenizerCounter:
    """`words`, a folder with a `tokenizer.json`, or a hub id. Raises `InputError`."""
    if name == WORDS:
        return WordCounter()
    try:
        import tokenizers
    except ImportError as error:
        raise InputError(
            f"the tokenizer {name!r}, but the package `tokenizers` is not installed",
            "the extra `train`",
            "pip install 'laconic[train]', or set tokenizer = \"words\"",
        ) from error
    file = Path(name) / "tokenizer.json" if Path(name).is_dir() else None
    try:
        loaded = tokenizers.Tokenizer.from_file(str(file)) if file else tokenizers.Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises bare Exceptions for a missing file or hub
        raise InputError(
            f"the tokenizer {name!r} cannot be loaded: {str(error)[:200]}",
            "a folder with tokenizer.json, a hub id that can be reached, or `words`",
            "set tokenizer = ... at the top of the study",
        ) from error
    loaded.no_truncation()
    loaded.no_padding()
    return TokenizerCounter(name, loaded)
