"""What the rest of Lakon needs of a store, typed: artifacts by key, places for ledgers, one writer at a time.

A folder on this machine satisfies it (`store.artifacts.Store`); so can another kind of store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

A_co = TypeVar("A_co", covariant=True)
"""A committed artifact."""
W_co = TypeVar("W_co", covariant=True)
"""An artifact while it is written."""


class WriterLock(Protocol):
    """The right to write, held by one process at a time."""

    def release(self) -> None:
        """Give it back; may be called twice."""
        ...


class ArtifactStore(Protocol[A_co, W_co]):
    """All artifacts and ledgers of one place."""

    @property
    def root(self) -> Path:
        """Where it is."""
        ...

    def find(self, stage: str, label: str, key: str) -> A_co | None:
        """The committed artifact with exactly this key, or None."""
        ...

    def begin(self, stage: str, label: str, key: str) -> W_co:
        """An empty artifact to write. Raises `StoreError` where nothing can be written."""
        ...

    def work_folder(self, stage: str, key: str) -> Path:
        """A local folder where a step keeps what it needs to go on after a kill."""
        ...

    def list_artifacts(self) -> Iterator[A_co]:
        """Every committed artifact."""
        ...

    def find_earlier(self, stage: str, label: str, but: Path) -> Sequence[A_co]:
        """Committed artifacts of a stage and label other than the one in the folder `but`, the newest first."""
        ...

    def list_torn(self) -> Iterator[Path]:
        """Folders that an interrupted step left without a readable manifest."""
        ...

    def ledger_path(self, author: str, identity: str) -> Path:
        """The ledger of one author; `identity` is the digest of who is asked."""
        ...

    def lock(self) -> WriterLock:
        """The right to write. Raises `StoreError` naming who has it."""
        ...
