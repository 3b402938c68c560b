"""Whether examples that are packed into one row see each other: measured on the student at hand, before anything is
packed.

Some architectures attend across packed documents without a word: state-space layers without their kernels, or an
attention that ignores the positions (Nemotron-H and gpt-oss did, in the library's release of 2026). A loss curve does
not tell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lakon.backends.training.model import reshard

DOCUMENT = 48
"""Tokens of each of the two documents that are compared at most."""
ALLOWED = {"fp32": 1e-3, "mixed": 5e-2, "bf16": 5e-2}
"""Largest difference of a logit, in standard deviations of the logits, that is rounding and no leak. Leaks that were
seen were 2.9 and above."""


class Leakage(NamedTuple):
    """How much of one document shows in another one of the same row."""

    largest: float
    """The largest difference of a logit, packed against apart, in standard deviations of the logits."""
    allowed: float

    @property
    def is_leak(self) -> bool:
        """Whether this is more than rounding."""
        return not self.largest <= self.allowed


class CannotPack(Exception):
    """A model that takes no packed rows; the message is its own."""


def measure_leakage(model: Any, documents: tuple[list[int], list[int]], collate: Any, precision: str) -> Leakage:
    """Run two documents packed by `collate` and each apart, and compare the logits of the second one. The first one
    stands before it with its tokens as they are, and again in reverse: what the second one sees of it changes.

    Raises `CannotPack` where the model itself refuses rows that are packed, as state-space layers without their kernels
    do."""
    import torch

    first, second = (ids[:DOCUMENT] for ids in documents)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            apart = _logits(model, collate([_item(second)]))
            packed = [_logits(model, collate([_item(before), _item(second)])) for before in (first, first[::-1])]
    except ValueError as error:
        raise CannotPack(" ".join(str(error).split())) from error
    finally:
        model.train(was_training)
        reshard(model)
    spread = float(apart.std())
    largest = max(float((each[len(first) :] - apart).abs().max()) for each in packed)
    return Leakage(largest / spread if spread > 0 else float("inf"), ALLOWED[precision])


def _item(ids: list[int]) -> dict[str, list[int]]:
    return {"input_ids": ids, "labels": list(ids)}


def _logits(model: Any, batch: dict[str, Any]) -> Any:
    """Logits of the one row of a batch, in float32, without the labels that some models would take a loss of."""
    device = next(model.parameters()).device
    inputs = {name: value.to(device) if hasattr(value, "to") else value for name, value in batch.items()}
    inputs.pop("labels")
    return model(**inputs, use_cache=False).logits[0].float()
