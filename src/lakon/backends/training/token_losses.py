"""The loss of every token of a completion under a model that is not trained here.

Invariant: prompt and completion are rendered as training renders them, and memory does not grow with the length of the
vocabulary times that of a trace: hidden states are kept for a batch, logits for a few hundred tokens. Rows of a batch
are padded on the right without a mask, which causal layers never look at. Importing this module imports no torch.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakon.backends.chat_format import continue_prompt, render_prompt
from lakon.core.messages import build_messages

OnBatch = Callable[[int, int], None]
"""Told how many texts a batch had, and how many tokens of completions."""

BATCH_TOKENS = 8_192
"""Upper bound of rows times longest row in a batch; a longer row is a batch of its own."""
LOGIT_CELLS = 1 << 26
"""Tokens times vocabulary whose logits are held at a time: 256 MiB in float32."""


class Completion(NamedTuple):
    """A text to measure: what the model is shown, and what it would be trained to write."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLosses:
    """The measured losses, and how they were measured."""

    losses: list[NDArray[np.float32] | None]
    """For each text the loss of each token of its completion and of the end token, in nats; None where prompt and
    completion are longer than `context`."""
    n_tokens: list[int]
    """Tokens of each completion, the end token included."""
    context: int | None
    """The most tokens that the model takes; None where its configuration names no bound."""
    precision: str
    seconds: float
    versions: dict[str, str]


class _Row(NamedTuple):
    """A text as numbers: the tokens of prompt and completion, and where the completion begins."""

    ids: list[int]
    n_prompt: int


def measure_token_losses(
    base: str, texts: Iterable[Completion], *, threads: int = 1, on_batch: OnBatch | None = None
) -> TokenLosses:
    """The losses of all tokens of all completions under the model `base`: in bfloat16 on a GPU that has it, else in
    float32. Raises ValueError for a model whose classes do not part its layers from its head.
    """
    import torch

    started = time.perf_counter()
    torch.set_num_threads(threads)
    with _without_progress_bars():
        tokenizer, network = _load(base)
    predictor, context = _Predictor(network), _context(network)
    rows = [_encode(tokenizer, text) for text in texts]
    fitting = [index for index, row in enumerate(rows) if context is None or len(row.ids) <= context]
    losses: list[NDArray[np.float32] | None] = [None] * len(rows)
    with torch.inference_mode():
        for batch in plan_batches([len(rows[index].ids) for index in fitting], BATCH_TOKENS):
            members = [fitting[place] for place in batch]
            for index, measured in zip(members, predictor.measure([rows[index] for index in members]), strict=True):
                losses[index] = measured
            if on_batch is not None:
                on_batch(len(members), sum(len(rows[index].ids) - rows[index].n_prompt for index in members))
    return TokenLosses(
        losses=losses,
        n_tokens=[len(row.ids) - row.n_prompt for row in rows],
        context=context,
        precision=str(network.dtype).removeprefix("torch."),
        seconds=time.perf_counter() - started,
        versions=_versions(),
    )


def plan_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indexes of `lengths` in batches of like length, each of at most `batch_tokens` with its padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        # Ascending, so the row at hand is the longest so far and decides the padded width.
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _encode(tokenizer: Any, text: Completion) -> _Row:
    rendered = render_prompt(tokenizer, build_messages(text.prompt))
    both = [rendered, continue_prompt(rendered, text.completion)]
    prompt, completion = tokenizer(both, add_special_tokens=False, verbose=False)["input_ids"]
    return _Row([*prompt, *completion, tokenizer.eos_token_id], len(prompt))


class _Predictor:
    """Predicts the tokens of completions: layers once for a batch, then the head for a few tokens at a time."""

    def __init__(self, network: Any) -> None:
        self._network, self._layers = network, network.base_model
        if self._layers is network:
            raise ValueError(
                f"found {type(network).__name__}, expected a model class with layers and a head apart; "
                "set evaluate.familiarity to 0"
            )
        self._at_once = max(1, LOGIT_CELLS // len(network.get_output_embeddings().weight))

    def measure(self, rows: Sequence[_Row]) -> list[NDArray[np.float32]]:
        """The losses of each row's completion."""
        import torch

        width = max(len(row.ids) for row in rows)
        padded = [row.ids + [row.ids[0]] * (width - len(row.ids)) for row in rows]
        output = self._layers(input_ids=torch.tensor(padded, device=self._network.device), use_cache=False)
        hidden = output.last_hidden_state
        # The state before a token predicts it.
        before = [hidden[at, row.n_prompt - 1 : len(row.ids) - 1] for at, row in enumerate(rows)]
        return [self._losses(output, states, row.ids[row.n_prompt :]) for states, row in zip(before, rows, strict=True)]

    def _losses(self, output: Any, states: Any, targets: Sequence[int]) -> NDArray[np.float32]:
        import torch

        parts: list[Any] = []
        wanted = torch.tensor(targets).split(self._at_once)
        for part, tokens in zip(states.split(self._at_once), wanted, strict=True):
            logits = self._logits(output, part).float()
            parts.append(torch.nn.functional.cross_entropy(logits, tokens.to(logits.device), reduction="none").cpu())
        return torch.cat(parts).numpy()

    def _logits(self, output: Any, states: Any) -> Any:
        """The logits of some states by the model's own forward pass, which may scale or cap what its head gives; its
        layers stand aside and hand over the states."""
        import torch

        output.last_hidden_state = states[None]
        ids = torch.zeros((1, len(states)), dtype=torch.long, device=self._network.device)
        with _standing_aside(self._layers, output):
            return self._network(input_ids=ids, use_cache=False).logits[0]


@contextlib.contextmanager
def _standing_aside(layers: Any, output: Any) -> Iterator[None]:
    """While this runs, `layers` give `output` whatever they are given."""
    own = vars(layers).get("forward")  # there where layers are spread over devices
    layers.forward = lambda *_, **__: output
    try:
        yield
    finally:
        del layers.forward
        if own is not None:
            layers.forward = own


def _load(base: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lakon.backends.training.optimizers import takes_bf16

    has_gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if takes_bf16("cuda" if has_gpu else "cpu") else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(base)
    placed: dict[str, Any] = {"device_map": "auto"} if has_gpu else {}
    return tokenizer, AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **placed).eval()


def _context(network: Any) -> int | None:
    return getattr(network.config.get_text_config(), "max_position_embeddings", None)


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers")}
