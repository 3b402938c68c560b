"""All that the store does with files, in one place: whatever another store cannot do, it cannot do here.

Two kinds of use. Artifacts are written once, listed, read and removed; none is ever renamed. A ledger is one file that
is open for long, appended to at offsets of its own choice, cut at its end, and replaced as a whole when it is
compacted. Everything here raises `OSError`.
"""

# pyarrow ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lakon.core.digest import file_digest

if TYPE_CHECKING:
    import pyarrow as pa

# -- whole files and folders -------------------------------------------------------------------------------------------


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)


def find_paths(root: Path, pattern: str) -> list[Path]:
    """What matches a pattern below `root`, in order; empty when `root` is not there."""
    return sorted(root.glob(pattern))


def list_files(folder: Path) -> list[Path]:
    """All files below a folder, in order."""
    return [path for path in find_paths(folder, "**/*") if path.is_file()]


def is_file(path: Path) -> bool:
    """Whether there is a file at `path`."""
    return path.is_file()


def is_own_folder(path: Path) -> bool:
    """Whether there is a folder at `path`, and not a link to one."""
    return path.is_dir() and not path.is_symlink()


def read_text(path: Path) -> str:
    """The whole text of a file. Raises `UnicodeDecodeError` (a ValueError) for bytes that are none."""
    return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a whole file; with `durable` it is on the disk when this returns."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def open_shard(path: Path, how: Literal["read", "write"]) -> pa.NativeFile:
    """A Parquet shard as a file of Arrow's own, to be closed by the caller: Arrow reads and writes it without Python
    in between. Another store gives one of its own `pyarrow.fs`."""
    from pyarrow import fs

    files = fs.LocalFileSystem()
    return files.open_input_file(str(path)) if how == "read" else files.open_output_stream(str(path))


def digest_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal characters."""
    return file_digest(path)


def sync_path(path: Path) -> int:
    """Return when the disk has all of a file that somebody else wrote; its size in bytes."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def modified_at(path: Path) -> float:
    """When a file was last written, in seconds of the system's clock."""
    return path.stat().st_mtime


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it, as far as that can be done."""
    shutil.rmtree(folder, ignore_errors=True)


def replace_file(path: Path, other: Path) -> None:
    """Put `other` in the place of `path`: whoever opens it sees the one or the other. Durable after `sync_folder`."""
    other.replace(path)


def sync_folder(folder: Path) -> None:
    """Return when the disk knows which files are in a folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# -- one file, open for long -------------------------------------------------------------------------------------------

_FLAGS = {
    "read": os.O_RDONLY,
    "write": os.O_RDWR | os.O_CREAT,
    "begin": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
}


def open_file(path: Path, how: Literal["read", "write", "begin"]) -> int:
    """A handle on a file: to read it, to go on in it (made unless it is there), or to begin it anew."""
    return os.open(path, _FLAGS[how] | os.O_CLOEXEC, 0o644)


def close_file(fd: int) -> None:
    """Give a handle back."""
    os.close(fd)


def measure_file(fd: int) -> int:
    """The bytes in an open file."""
    return os.fstat(fd).st_size


def read_at(fd: int, n_bytes: int, offset: int) -> bytes:
    """At most so many bytes from `offset` on: fewer where the file ends."""
    return os.pread(fd, n_bytes, offset)


def write_at(fd: int, data: bytes | bytearray, offset: int) -> int:
    """All of `data` at `offset`; the offset after it."""
    view = memoryview(data)
    while view:
        n = os.pwrite(fd, view, offset)
        view, offset = view[n:], offset + n
    return offset


def cut_file(fd: int, end: int) -> None:
    """Drop what stands behind `end`."""
    os.ftruncate(fd, end)


def lock_file(fd: int) -> None:
    """Take the only lock on an open file. Raises `BlockingIOError` when another process has it, and `OSError` (ENOLCK)
    where this system or this file system has no such locks."""
    try:
        import fcntl
    except ImportError as error:  # Windows
        raise OSError(errno.ENOLCK, "this system has no file locks") from error
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def unlock_file(fd: int) -> None:
    """Give a lock back that `lock_file` took."""
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_UN)


def sync_file(fd: int) -> None:
    """Return when the disk has all that was written."""
    os.fsync(fd)
