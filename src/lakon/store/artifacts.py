"""Artifacts: folders of files under a content key, committed by their manifest.

Invariant: files first, `manifest.json` last. A folder without a readable manifest is not there; nothing is ever
renamed, so the same protocol holds on a bucket. The content digest covers the files alone: what was measured on
the way (seconds, versions, host) stands in the manifest but moves no key.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from lakon.core.digest import KEY_CHARS, digest
from lakon.core.errors import StoreError
from lakon.core.storage import ArtifactStore, WriterLock
from lakon.store import filesystem
from lakon.store.locks import take_lock
from lakon.store.tables import read_shard, write_table

R = TypeVar("R")

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of an artifact."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artifact is: its key, what went into the key, its files, and facts that no key depends on."""

    schema: int
    stage: str
    label: str
    version: int
    key: str
    payload: dict[str, object]
    """The spec values that the key depends on, defaults left out."""
    inputs: dict[str, str]
    """Input name to the content digest of that input."""
    files: list[FileEntry]
    rows: dict[str, int]
    content: str
    """Digest of the files: what downstream keys depend on."""
    facts: dict[str, object] = field(default_factory=dict[str, object])
    """Measured on the way; never hashed."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A committed artifact: a folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def content(self) -> str:
        return self.manifest.content

    def read(self, table: str, record: type[R]) -> Iterator[R]:
        """The rows of `table` as records, shard by shard, in the order in which they were written. Columns that a light
        record does not have stay on the disk."""
        for entry in self.manifest.files:
            if entry.path.startswith(f"{table}-") and entry.path.endswith(".parquet"):
                yield from read_shard(self.folder / entry.path, record)


class ArtifactWriter:
    """The folder of an artifact while a step fills it; `commit` writes the manifest and makes it real."""

    def __init__(self, folder: Path, earlier: Path) -> None:
        self.folder = folder
        self._earlier = earlier
        """Where an artifact of the same key may lie, which ours takes the place of."""
        self._rows: dict[str, int] = {}
        self.facts: dict[str, object] = {}

    def write(self, table: str, rows: Iterable[object]) -> int:
        """Write one table; returns how many rows it has."""
        counted = _Counted(rows)
        write_table(self.folder, table, counted)
        self._rows[table] = counted.n
        return counted.n

    def read(self, table: str, record: type[R]) -> Iterator[R]:
        """The rows of a table that this step has written already, in order: a second look without holding them."""
        for path in filesystem.find_paths(self.folder, f"{table}-*.parquet"):
            yield from read_shard(path, record)

    def write_text(self, name: str, text: str) -> Path:
        """Write one text file."""
        path = self.folder / name
        filesystem.write_text(path, text)
        return path

    def commit(
        self, *, stage: str, label: str, version: int, key: str, payload: dict[str, object], inputs: Mapping[str, str]
    ) -> Artifact:
        """Digest and sync every file, then write the manifest: from here on the artifact exists."""
        files = [_entry(self.folder, path) for path in _files(self.folder)]
        content = digest([[entry.path, entry.sha256] for entry in files])
        manifest = Manifest(
            schema=SCHEMA,
            stage=stage,
            label=label,
            version=version,
            key=key,
            payload=payload,
            inputs=dict(inputs),
            files=files,
            rows=self._rows,
            content=content,
            facts=self.facts,
        )
        text = json.dumps(asdict(manifest), indent=1, sort_keys=True, default=str)
        filesystem.write_text(self.folder / MANIFEST, text, durable=True)
        # Read back, so that a step sees the same artifact, down to the order of its facts, whoever ran before it.
        artifact = read_artifact(self.folder)
        assert artifact is not None
        remove_artifact(self._earlier)
        return artifact


class _Counted:
    def __init__(self, rows: Iterable[object]) -> None:
        self._rows, self.n = rows, 0

    def __iter__(self) -> Iterator[object]:
        for row in self._rows:
            self.n += 1
            yield row


class Store:
    """All artifacts and ledgers below one folder; implements `core.storage.ArtifactStore`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: str, label: str, key: str) -> Path:
        """Where the artifact with `key` lies: paths are for people, so stage and label come first."""
        return self.root / stage / f"{label}-{key[:KEY_CHARS]}"

    def find(self, stage: str, label: str, key: str) -> Artifact | None:
        """The committed artifact with exactly this key, or None. Another label with the same key will do."""
        direct = read_artifact(self.folder(stage, label, key))
        if direct is not None and direct.manifest.key == key:
            return direct
        for folder in filesystem.find_paths(self.root / stage, f"*-{key[:KEY_CHARS]}"):
            artifact = read_artifact(folder)
            if artifact is not None and artifact.manifest.key == key:
                return artifact
        return None

    def begin(self, stage: str, label: str, key: str) -> ArtifactWriter:
        """An empty folder to fill. What an interrupted run left there is removed, its manifest first.

        An artifact of that key, made by an earlier run, stays until the new one is committed: asking failed rows
        again may fail, and must not cost what there is.
        """
        places = self.folder(stage, label, key), self.folder(stage, f"{label}{_AGAIN}", key)
        folder, other = places if read_artifact(places[0]) is None else places[::-1]
        remove_artifact(folder)
        try:
            filesystem.make_folder(folder)
        except OSError as error:
            raise unwritable_error(self.root, error) from error
        return ArtifactWriter(folder, other)

    def work_folder(self, stage: str, key: str) -> Path:
        """Where a step keeps what it needs to go on after a kill: it outlives the step, until the artifact is
        committed."""
        return self.root / WORK / f"{key[:KEY_CHARS]}.{stage}"

    def list_work(self) -> list[Path]:
        """Every such folder."""
        return filesystem.find_paths(self.root / WORK, "*.*")

    def list_artifacts(self) -> Iterator[Artifact]:
        """Every committed artifact."""
        for path in filesystem.find_paths(self.root, f"*/*/{MANIFEST}"):
            artifact = read_artifact(path.parent)
            if artifact is not None:
                yield artifact

    def find_earlier(self, stage: str, label: str, but: Path) -> list[Artifact]:
        """Committed artifacts of a stage and label other than the one in the folder `but`, the newest first."""
        manifests = filesystem.find_paths(self.root, f"{stage}/{glob.escape(label)}*-*/{MANIFEST}")
        artifacts = [read_artifact(path.parent) for path in manifests]
        others = [a for a in artifacts if a is not None and a.manifest.label == label and a.folder != but]
        return sorted(others, key=lambda a: filesystem.modified_at(a.folder / MANIFEST), reverse=True)

    def list_torn(self) -> Iterator[Path]:
        """Folders that an interrupted step left without a readable manifest: named as artifacts are, and no others.

        An artifact of another schema is not torn: another version of Lakon may still read it.
        """
        for folder in filesystem.find_paths(self.root, "*/*-*"):
            named = _ARTIFACT.fullmatch(folder.name) is not None and filesystem.is_own_folder(folder)
            if named and read_artifact(folder) is None and not _of_another_schema(folder):
                yield folder

    def lock(self) -> WriterLock:
        """The right to write here. Raises `StoreError` naming who has it."""
        return take_lock(self.root / "run.lock", f"the store {self.root}")

    def ledger_path(self, author: str, identity: str) -> Path:
        """The ledger of one author: readable label, then its identity's digest."""
        return self.root / "ledger" / f"{author}-{identity[:KEY_CHARS]}.ledger"


WORK = "work"
"""The folder of unfinished work in a store."""
AnyStore = ArtifactStore[Artifact, ArtifactWriter]
"""What runs and plans take: a `Store`, or anything else that keeps artifacts as one does."""

_AGAIN = ".again"
"""Behind the label of the second of two folders that artifacts of one key take in turn."""
_ARTIFACT = re.compile(rf".+-[0-9a-f]{{{KEY_CHARS}}}")


def _of_another_schema(folder: Path) -> bool:
    try:
        raw: object = json.loads(filesystem.read_text(folder / MANIFEST))
    except (OSError, ValueError):
        return False
    return isinstance(raw, dict) and cast("dict[str, object]", raw).get("schema") != SCHEMA


def read_artifact(folder: Path) -> Artifact | None:
    """The artifact in `folder`, or None when there is no complete manifest of the current schema."""
    try:
        raw: object = json.loads(filesystem.read_text(folder / MANIFEST))
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict):
        return None
    facts = cast("dict[str, Any]", raw)
    if facts.get("schema") != SCHEMA:
        return None
    try:
        files = [FileEntry(**entry) for entry in facts.pop("files")]
        manifest = Manifest(files=files, **facts)
    except (TypeError, KeyError):
        return None
    present = all(filesystem.is_file(folder / entry.path) for entry in files)
    return Artifact(folder, manifest) if present else None


def remove_artifact(folder: Path) -> None:
    """Remove an artifact, its manifest first, so that a half-removed one is not there."""
    filesystem.remove_file(folder / MANIFEST)
    filesystem.remove_folder(folder)


def unwritable_error(root: Path, error: OSError) -> StoreError:
    """The error for a store that cannot be written."""
    return StoreError(
        f"{error.strerror or error} ({type(error).__name__})",
        "a folder that can be written",
        "choose another one with `--store DIR`, `LAKON_STORE` or `store = ...` in the study, or free some space",
        where=f"store {root}",
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in filesystem.list_files(folder) if path.name != MANIFEST]


def _entry(folder: Path, path: Path) -> FileEntry:
    n_bytes = filesystem.sync_path(path)
    return FileEntry(path=path.relative_to(folder).as_posix(), bytes=n_bytes, sha256=filesystem.digest_file(path))
