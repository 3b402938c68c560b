"""Samples until the first correct one: a problem's next sample is drawn when the last one is known to be wrong.

Invariant: no barrier. Problems go on each at its own pace; grading runs in a thread beside the asking, and what the
ledger has from an earlier run is graded while what is new is being asked.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from lakon.core.protocols import Author, CallLog, Reply, Request
from lakon.stages.generate.call_state import is_owed, read_reply

Correct = Callable[[Sequence[tuple[Request, Reply]]], Sequence[bool]]
"""Which of these replies are right; called from one thread at a time."""
_AT_ONCE = 256


class SampleChains:
    """The samples of every problem in order; each is drawn only while those before it were not correct."""

    def __init__(
        self,
        requests: Sequence[Request],
        author: Author,
        log: CallLog,
        correct: Correct,
        *,
        retry: bool,
        ended: Callable[[], None],
    ) -> None:
        self._author, self._log, self._correct = author, log, correct
        self._retry, self._ended = retry, ended
        self._chains: dict[str, deque[Request]] = {}
        self._drawn: dict[str, Request] = {}
        self._ready: deque[Request] = deque()
        self._to_grade: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._grading = 0
        self._failure: Exception | None = None
        for request in requests:
            self._chains.setdefault(request.problem_id, deque()).append(request)
        self._thread = threading.Thread(target=self._grade_all, name="until-correct", daemon=True)

    def __enter__(self) -> SampleChains:
        with self._changed:
            for problem_id in list(self._chains):
                self._advance(problem_id)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._to_grade.put(None)
        self._thread.join()

    @property
    def open(self) -> int:
        """Problems without a correct sample that have samples left."""
        return len(self._chains)

    def is_drawn(self, request: Request) -> bool:
        """Whether this sample was needed."""
        return request.key in self._drawn

    def mark_arrived(self, key: str) -> None:
        """The reply under `key` is in the log: it is graded next."""
        with self._changed:
            self._grading += 1
        self._to_grade.put(self._drawn[key])

    def take_ready(self) -> list[Request] | None:
        """What may be asked now, without waiting; None when only a reply that is still to come can bring more."""
        with self._changed:
            self._check()
            if self._ready or self._grading:
                return self._take()
            return None

    def list_rounds(self) -> Iterator[list[Request]]:
        """For authors that work in batches: all that may be asked, again and again until nothing is left."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._grading or self._failure)
                self._check()
                batch = self._take()
            if not batch:
                return
            yield batch

    def _take(self) -> list[Request]:
        requests = list(self._ready)
        self._ready.clear()
        return requests

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _advance(self, problem_id: str) -> None:
        """Draw the problem's next sample: to be asked, or graded if it is there already."""
        chain = self._chains[problem_id]
        if not chain:
            self._end(problem_id)
            return
        request = chain.popleft()
        self._drawn[request.key] = request
        if is_owed(request, self._author, self._log, retry=self._retry):
            self._ready.append(request)
        else:
            self._grading += 1
            self._to_grade.put(request)

    def _end(self, problem_id: str) -> None:
        del self._chains[problem_id]
        self._ended()

    def _grade_all(self) -> None:
        while batch := self._batch():
            try:
                replies = [(request, self._reply(request)) for request in batch]
                right = self._correct(replies)
            except Exception as error:  # whoever waits in `rounds` or asks for `more` must hear of it
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            with self._changed:
                for request, is_right in zip(batch, right, strict=True):
                    self._end(request.problem_id) if is_right else self._advance(request.problem_id)
                self._grading -= len(batch)
                self._changed.notify_all()

    def _batch(self) -> list[Request]:
        """What waits to be graded, at least one; empty when this is over."""
        batch: list[Request] = []
        while len(batch) < _AT_ONCE and (not batch or not self._to_grade.empty()):
            request = self._to_grade.get()
            if request is None:
                return []
            batch.append(request)
        return batch

    def _reply(self, request: Request) -> Reply:
        return read_reply(request, self._log.get(request.key) or {"error": "lost"}, self._author)
