"""Counting tokens: the one tokenizer in which all authors of a study are counted.

`words` needs nothing and favours nobody: a run of letters, a single digit, or a run of other marks is one piece.
It is no model's tokenizer, and reports say so; the provider's own counts stand beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lakon.core.errors import InputError

WORDS = "words"


class WordCounter:
    """Pieces by a fixed rule: letters together, digits apart, other marks together, white space free."""

    name = WORDS

    def count(self, texts: Sequence[str]) -> list[int]:
        """Pieces of each text."""
        return [_pieces(text) for text in texts]

    def cut(self, texts: Sequence[str], limit: int) -> list[str | None]:
        """Each text up to so many pieces; None where it has no more."""
        return [_up_to(text, limit) for text in texts]


_SPACE, _DIGIT, _LETTER, _OTHER = range(4)


@cache
def _classes() -> Any:
    """The class of every code point. Runs are counted on this table with numpy, at some hundred megabytes a second:
    matching pieces with a regular expression took most of the time from source to arms."""
    import numpy as np
    import regex

    everything = np.arange(sys.maxunicode + 1, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    table = np.full(sys.maxunicode + 1, _OTHER, dtype=np.uint8)
    for pattern, kind in ((r"[\p{L}\p{M}]+", _LETTER), (r"\p{N}+", _DIGIT), (r"\s+", _SPACE)):
        for run in regex.finditer(pattern, everything):
            table[run.start() : run.end()] = kind
    return table


@cache
def _ascii_classes() -> bytes:
    """The same for ASCII, as a table for `bytes.translate`: four times less memory is touched for each character."""
    return bytes(_classes()[:128]) + bytes(128)


def _pieces(text: str) -> int:
    """Single digits, and the beginnings of runs of letters and of other marks."""
    import numpy as np

    if not text:
        return 0
    if text.isascii():
        kinds = np.frombuffer(text.encode("ascii").translate(_ascii_classes()), dtype=np.uint8)
    else:
        kinds = _classes()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    begins = np.count_nonzero((kinds[1:] != kinds[:-1]) & (kinds[1:] >= _LETTER))
    return int(begins) + int(kinds[0] >= _LETTER) + int(np.count_nonzero(kinds == _DIGIT))


def _up_to(text: str, limit: int) -> str | None:
    """The first `limit` pieces, and what stands between them."""
    import numpy as np

    kinds = _classes()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    follows = np.concatenate([[_SPACE], kinds[:-1]])
    begins = np.flatnonzero(((kinds != follows) & (kinds >= _LETTER)) | (kinds == _DIGIT))
    return text[: begins[limit]] if len(begins) > limit else None


class TokenizerCounter:
    """A model's fast tokenizer, loaded from its folder or from the hub without the model."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        self.name, self._tokenizer = name, tokenizer

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not added."""
        return [len(e.ids) for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def cut(self, texts: Sequence[str], limit: int) -> list[str | None]:
        """Each text up to so many tokens; None where it has no more."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [
            text[: each.offsets[limit - 1][1]] if len(each.ids) > limit else None
            for text, each in zip(texts, encoded, strict=True)
        ]


def load_counter(name: str) -> WordCounter | TokenizerCounter:
    """`words`, a folder with a `tokenizer.json`, or a hub id. Raises `InputError`."""
    if name == WORDS:
        return WordCounter()
    try:
        import tokenizers
    except ImportError as error:
        raise InputError(
            f"the tokenizer {name!r}, but the package `tokenizers` is not installed",
            "the extra `train`",
            "pip install 'lakon[train]', or set tokenizer = \"words\"",
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
