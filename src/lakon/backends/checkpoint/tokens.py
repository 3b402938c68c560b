"""What asking a model by token ids takes: its prompts as tokens, and the tokens that end its turn. Loads no weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lakon.backends.chat_format import encode_prompt
from lakon.core.messages import Messages


class Prompting(NamedTuple):
    """How a model is asked."""

    encode: Callable[[Messages], list[int]]
    """A conversation as the tokens that it was trained with."""
    end_ids: tuple[int, ...]
    """The tokens that end its turn."""


@functools.lru_cache(maxsize=4)
def load_prompting(folder: str) -> Prompting:
    """The tokenizer and end tokens of a model. Raises OSError for a folder without them."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    try:
        stated = GenerationConfig.from_pretrained(folder).eos_token_id
    except OSError:
        config: Any = AutoConfig.from_pretrained(folder) if (Path(folder) / "config.json").is_file() else None
        stated = getattr(config, "eos_token_id", None)
    ids = [*stated] if isinstance(stated, list) else [stated]
    ends = tuple(sorted({*ids, tokenizer.eos_token_id} - {None}))
    encode = functools.lru_cache(maxsize=4096)(lambda messages: tuple(encode_prompt(tokenizer, messages)))
    return Prompting(lambda messages: list(encode(messages)), ends)
