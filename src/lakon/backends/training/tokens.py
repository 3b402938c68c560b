"""Examples as token ids on the disk, so that memory does not grow with the corpus.

Invariant: the ids of an example are those of its rendered prompt, of its completion, and one end token; nothing is cut.
Every process of a run reads the file that the first one wrote.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lakon.backends.chat_format import continue_prompt, render_prompt
from lakon.backends.training.batches import Row
from lakon.backends.training.job import TrainExample
from lakon.core.messages import build_messages

IGNORED = -100
"""The label of a token that the loss is not taken on."""
_BATCH_CHARS = 4 << 20
"""Completions that are tokenised together."""
_TOKENS, _ROWS, _TOO_LONG = "tokens.bin", "rows.npy", "too-long.npy"


class EncodedExamples(NamedTuple):
    """The rows that are trained on, all their tokens one after the other, and the examples that are too long."""

    rows: list[Row]
    tokens: Any
    """An int32 array of all tokens that is read from the disk where it is looked at."""
    too_long: list[int]

    def ids(self, row: Row) -> list[int]:
        """The token ids of one row."""
        return self.tokens[row.start : row.start + row.n_tokens].tolist()

    def item(self, index: int) -> dict[str, list[int]]:
        """One row as a collator takes it: ids, and labels that leave the prompt out."""
        row = self.rows[index]
        ids = self.ids(row)
        return {"input_ids": ids, "labels": [IGNORED] * row.n_prompt + ids[row.n_prompt :]}


def encode_examples(
    examples: Iterable[TrainExample], tokenizer: Any, *, max_length: int, folder: Path
) -> EncodedExamples:
    """Tokenise the examples into `folder`; those longer than `max_length` tokens are only named."""
    import numpy as np

    rows: list[Row] = []
    too_long: list[int] = []
    index = written = 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        for batch in _batched(examples):
            prompts = [render_prompt(tokenizer, build_messages(each.prompt, each.system)) for each in batch]
            texts = [continue_prompt(prompt, each.completion) for prompt, each in zip(prompts, batch, strict=True)]
            encoded = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompts, texts))
            for example, prompt, completion in zip(batch, *encoded, strict=True):
                ids = np.asarray([*prompt, *completion, tokenizer.eos_token_id], dtype=np.int32)
                if len(ids) > max_length:
                    too_long.append(index)
                elif example.repeats > 0:
                    rows.append(Row(written, len(ids), len(prompt), example.phase, example.repeats, index))
                    file.write(ids.tobytes())
                    written += len(ids)
                index += 1
    np.save(folder / _ROWS, np.asarray(rows, dtype=np.int64).reshape(len(rows), len(Row._fields)))
    np.save(folder / _TOO_LONG, np.asarray(too_long, dtype=np.int64))
    Path(file.name).replace(folder / _TOKENS)
    return read_encoded(folder)


def read_encoded(folder: Path) -> EncodedExamples:
    """What `encode_examples` left in a folder."""
    import numpy as np

    rows = [Row(*values) for values in np.load(folder / _ROWS).tolist()]
    too_long = np.load(folder / _TOO_LONG).tolist()
    tokens = np.memmap(folder / _TOKENS, dtype=np.int32, mode="r") if rows else np.zeros(0, dtype=np.int32)
    return EncodedExamples(rows, tokens, too_long)


def count_trained(encoded: EncodedExamples, blocks: Iterable[Sequence[int]]) -> int:
    """Tokens of these blocks that the loss is taken on."""
    total = 0
    for block in blocks:
        for index in block:
            row = encoded.rows[index]
            # The first token of a row has nothing before it to be predicted from.
            total += row.n_tokens - max(1, row.n_prompt)
    return total


def _batched(examples: Iterable[TrainExample]) -> Iterator[list[TrainExample]]:
    batch: list[TrainExample] = []
    chars = 0
    for example in examples:
        batch.append(example)
        chars += len(example.completion)
        if chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch
