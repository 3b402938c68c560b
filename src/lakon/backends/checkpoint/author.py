"""A model in a folder as an author: sampled by the engine's worker processes, batch by batch, into the ledger.

Invariant: batches are planned over all requests, not over the owed ones, and a batch is sampled whole; so a run that
was killed and resumed samples what an undisturbed one would have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lakon.backends.chat_format import split_completion
from lakon.core.errors import InputError, RunStopped
from lakon.core.protocols import Engine, Payload, Reply, Request

_BLOCK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One call of a worker: everything it needs, as plain values."""

    checkpoint: str
    requests: tuple[Request, ...]
    temperature: float
    top_p: float
    top_k: int | None
    threads: int

    @property
    def keys(self) -> list[str]:
        """Those of its calls."""
        return [request.key for request in self.requests]


class CheckpointAuthor:
    """Samples a causal model; its identity is the checkpoint's content, the template and the seed."""

    paid = True
    may_retry = False

    def __init__(
        self,
        checkpoint: str,
        identity: object,
        *,
        engine: Engine,
        temperature: float,
        top_p: float,
        top_k: int | None = None,
        batch_size: int = 256,
        threads: int = 1,
        stop: threading.Event,
    ) -> None:
        self.identity = identity
        self._checkpoint, self._engine, self._stop = checkpoint, engine, stop
        self._sampling = (temperature, top_p, top_k)
        self._batch_size, self._threads = batch_size, threads

    def ask(
        self,
        requests: Sequence[Request],
        put: Callable[[str, Payload], None],
        *,
        all_requests: Sequence[Request] | None = None,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """Sample every batch of `all_requests` that holds an owed request, and keep what was owed."""
        owed = {request.key for request in requests}
        batches = [b for b in self._batches(all_requests or requests) if not owed.isdisjoint(b.keys)]
        for replies in self._engine.map(sample_batch, self._until_stopped(batches)):
            for key, payload in replies:
                if key in owed:
                    put(key, payload)
        if self._stop.is_set():
            raise RunStopped("interrupted", "what was sampled is in the ledger", "run the same command again to go on")

    def parse(self, payload: Payload) -> Reply:
        """The text taken apart at the end of its thinking."""
        return read_sampled(payload)

    def _until_stopped(self, batches: list[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self._stop.is_set():
                return
            yield batch

    def _batches(self, requests: Sequence[Request]) -> list[Batch]:
        """Requests of four sample indexes, neighbours in prompt length, so that a batch ends at about one time.

        Growing from 4 to 8 samples leaves the first batches as they are.
        """
        by_index: dict[int, list[Request]] = {}
        for request in requests:
            by_index.setdefault(request.sample_index // _BLOCK, []).append(request)
        temperature, top_p, top_k = self._sampling
        out: list[Batch] = []
        for index in sorted(by_index):
            ordered = sorted(by_index[index], key=lambda r: (-_count_chars(r), r.key))
            for start in range(0, len(ordered), self._batch_size):
                out.append(
                    Batch(
                        checkpoint=self._checkpoint,
                        requests=tuple(ordered[start : start + self._batch_size]),
                        temperature=temperature,
                        top_p=top_p,
                        top_k=top_k,
                        threads=self._threads,
                    )
                )
        return out


def read_sampled(payload: Payload) -> Reply:
    """What `sample_batch` has made: the text taken apart at the end of its thinking."""
    reasoning, answer, _ = split_completion(str(payload["text"]))
    n_tokens = payload["n_tokens"]
    return Reply(
        reasoning=reasoning,
        answer=answer,
        finish_reason=str(payload["finish_reason"]),
        completion_tokens=n_tokens if isinstance(n_tokens, int) else None,
    )


def _count_chars(request: Request) -> int:
    return sum(len(message.content) for message in request.messages)


def sample_batch(batch: Batch) -> list[tuple[str, Payload]]:
    """In a worker: one reply for each request of the batch. Raises `InputError` for a model that cannot be loaded."""
    from safetensors import SafetensorError

    from lakon.backends.checkpoint.sampling import load, sample

    try:
        model = load(batch.checkpoint, batch.threads)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            f"no model can be loaded from {batch.checkpoint!r}: {str(error)[:300]}",
            "a folder with a causal model and its tokenizer, or a model's name on the hub",
            "correct the path or name, then run again: every finished step is kept",
        ) from error
    replies = sample(
        model,
        [r.messages for r in batch.requests],
        [r.seed for r in batch.requests],
        temperature=batch.temperature,
        top_p=batch.top_p,
        top_k=batch.top_k,
        max_tokens=batch.requests[0].max_tokens,
    )
    return [
        (
            request.key,
            {
                "text": reply.text,
                "n_tokens": reply.n_tokens,
                "finish_reason": reply.finish_reason,
                "max_tokens": request.max_tokens,
            },
        )
        for request, reply in zip(batch.requests, replies, strict=True)
    ]
