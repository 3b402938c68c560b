"""Where the things lie on this machine that keys know by their content: files, models, tokenizers.

A step's arguments hold a reference (`file:` or `model:` and a digest) in the place of a path, so that moving a file
moves no key. The plan hands out references; whoever carries a step out turns them into paths again.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TypeVar

from lakon.core.digest import digest, file_digest
from lakon.core.errors import InputError
from lakon.core.spec import Spec
from lakon.stages.train.train import MINIATURE_BASE

S = TypeVar("S", bound=Spec)


class Places:
    """The references that one plan handed out, and what each stands for."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._identities: dict[str, object] = {}

    # -- references, for arguments ---------------------------------------------------------------------------

    def refer(self, spec: S, field: str = "path") -> S:
        """The spec with a reference in the place of its path. What is not on this machine keeps its name: it is on the
        hub, or missing, which others say."""
        path = getattr(spec, field)
        if path is None or not Path(path).exists():
            return spec
        return spec.model_copy(update={field: self._remember(f"file:{files_digest(path)[:32]}", path)})

    def model(self, name: str) -> str:
        """A reference to a model in a folder, by the content of its files; a model on the hub keeps its name."""
        folder, identity = model_path(name), model_identity(name)
        reference = f"model:{digest(identity)}" if Path(folder).is_dir() else name
        self._identities[reference] = identity
        return self._remember(reference, folder)

    def tokenizer(self, name: str) -> str:
        """A reference to a tokenizer in a folder, by the content of its file; any other keeps its name."""
        folder = model_path(name)
        file = Path(folder) / "tokenizer.json"
        return self._remember(f"tokenizer:{file_digest(file)[:32]}", folder) if file.is_file() else name

    def _remember(self, reference: str, path: str) -> str:
        self._paths[reference] = path
        return reference

    # -- places, for bodies ----------------------------------------------------------------------------------

    def path(self, reference: str) -> str:
        """Where it lies: a path, or the name of what is not on this machine."""
        return self._paths.get(reference, reference)

    def locate(self, spec: S, field: str = "path") -> S:
        """The spec with a path again."""
        reference = getattr(spec, field)
        return spec if reference is None else spec.model_copy(update={field: self.path(reference)})

    def identity(self, model: str) -> object:
        """What a model is, for the keys of calls: the digests of its files, or its name on the hub."""
        return self._identities[model]


def model_path(name: str) -> str:
    """Where a model or tokenizer lies: the shipped base's folder for `miniature:base`, else the name itself."""
    if name in (MINIATURE_BASE, "miniature"):
        from lakon.miniature.student import base_path

        return str(base_path())
    return name


def model_identity(name: str) -> object:
    """The digests of a model's files, or its name on the hub."""
    folder = Path(model_path(name))
    if not folder.is_dir():
        return {"hub": name}
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "recipe.json")
    return {path.name: _digest(path) for path in files}


def files_digest(path: str) -> str:
    """The digest of a file's bytes, or of all files of a folder; empty for what is not there. Raises `InputError` for
    what cannot be read."""
    place = Path(path)
    if not place.exists():
        return ""
    try:
        if place.is_file():
            return _digest(place)
        files = sorted(file for file in place.rglob("*") if file.is_file())
        return digest([[str(file.relative_to(place)), _digest(file)] for file in files])
    except OSError as error:
        raise InputError(
            str(error.strerror), "files that can be read", "check the path in the study", where=path
        ) from error


def _digest(file: Path) -> str:
    stat = file.stat()
    return _digest_as_of(file, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _digest_as_of(file: Path, inode: int, size: int, changed_ns: int) -> str:
    """A file's digest, taken once for planning a run and carrying it out: sources have many gigabytes."""
    return file_digest(file)
