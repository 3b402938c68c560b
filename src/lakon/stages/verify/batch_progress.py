"""One progress display for work that is done in batches."""

from __future__ import annotations

from lakon.core.protocols import Progress


class BatchProgress(Progress):
    """The progress of all batches together, passed to a stage that sees one batch at a time."""

    def __init__(self, whole: Progress, total: int) -> None:
        self._whole, self._total = whole, total
        self._done = 0
        self._pending = 0
        """Votes of this batch that are still awaited."""

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None:
        """Begin a batch; `done` of its votes are in the ledger already."""
        self._pending = total - done
        self._done += done
        self._whole.start(max(self._total, self._done + self._pending), done=self._done, unit="judgements")

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more votes have arrived."""
        self._pending -= n
        self._done += n
        self._whole.advance(n, **figures)

    def finish_batch(self) -> None:
        """Count the votes of this batch that another step asked for and this one only waited for."""
        if self._pending:
            self.advance(self._pending)

    def show(self, **figures: float) -> None:
        """Pass the figures on."""
        self._whole.show(**figures)
