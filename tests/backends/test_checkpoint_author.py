"""The checkpoint author's plan of batches, with an engine that computes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lakon.backends.checkpoint.author import Batch, CheckpointAuthor
from lakon.core.protocols import Request
from lakon.core.records import Problem
from lakon.core.spec import Sampling
from lakon.stages.generate.requests import list_requests


class Recording:
    """An engine that answers with the keys of a batch and remembers the batches."""

    slots = threads = 1

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def map(self, function: Callable[..., Any], batches: Iterable[Batch]) -> Iterator[Any]:
        for batch in batches:
            keys = [request.key for request in batch.requests]
            self.batches.append(keys)
            yield [(key, {"text": "", "n_tokens": 0, "finish_reason": "stop"}) for key in keys]

    def call(self, function: Callable[..., Any], *args: object, on_event: object = None) -> Any:
        raise NotImplementedError

    def stop(self) -> None: ...

    def close(self) -> None: ...


def asked_batches(owed: list[Request], all_requests: list[Request] | None) -> tuple[list[list[str]], list[str]]:
    """The batches that were sampled, and the keys that were kept."""
    engine, kept = Recording(), list[str]()
    author = CheckpointAuthor("c", "c", engine=engine, temperature=0.6, top_p=1.0, batch_size=3, stop=threading.Event())
    author.ask(owed, lambda key, payload: kept.append(key), all_requests=all_requests)
    return engine.batches, kept


def test_a_resumed_step_samples_the_batches_of_an_undisturbed_one():
    problems = [Problem.of("x" * n, "1") for n in range(1, 9)]
    asked = list_requests(problems, "c", template="{problem}", sampling=Sampling(), samples=1)
    whole, kept = asked_batches(asked, None)
    assert [len(batch) for batch in whole] == [3, 3, 2]
    assert sorted(kept) == sorted(request.key for request in asked)
    resumed, kept = asked_batches(asked[3:4], asked)
    assert resumed == [batch for batch in whole if asked[3].key in batch]
    assert kept == [asked[3].key]
