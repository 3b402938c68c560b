"""Reading files that somebody else wrote, within bounds: lines, nesting, and members of archives.

A file of results can be anything: a line of gigabytes, brackets a million deep, an archive that unpacks without end.
What is too large is a bad row or an `InputError`, before it takes the memory.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from lakon.core.errors import InputError

LONGEST_LINE = 64 << 20
"""Bytes of the longest line that is read as a row."""
LARGEST_MEMBER = 256 << 20
"""Bytes of one unpacked member of an archive."""
LARGEST_ARCHIVE = 64 << 30
"""Bytes of all members of an archive together."""
LARGEST_DOCUMENT = 2 << 30
"""Bytes of a file that is one JSON document."""
_ZSTD = 93
"""The zip method of Zstandard."""
_LOCAL_HEADER = 30
_ENCRYPTED = 1


def read_json(data: bytes) -> Any:
    """Bytes as JSON values; NaN and infinities are read as such. Raises `ValueError`, also for what is nested too
    deeply."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return json.loads(data.decode("utf-8"))
        except RecursionError:
            raise ValueError("nested too deeply") from None


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Number and bytes of every line that is not blank, of a plain or gzip file; None for one that is too long.

    Raises `InputError` where the file cannot be read."""
    number = 0
    try:
        with open_plain(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    _skip_line(file, line)
                    yield number, None
                elif bare := (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip():
                    yield number, bare
    except (OSError, EOFError, zlib.error) as error:
        found = f"cannot be read after line {number}: {error}"
        raise InputError(found, "a whole file that can be read", "mend the file", where=str(path)) from error


def read_text_lines(path: Path) -> Iterator[str]:
    """Every line as it stands, with its end, for formats in which a value may span lines.

    Raises `InputError` where the file cannot be read or a line is too long."""
    try:
        with open_plain(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise ValueError(f"a line of more than {LONGEST_LINE >> 20} MiB")
                yield line.decode("utf-8", "replace")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", "a whole file", "mend the file", where=str(path)) from error


def _skip_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(LONGEST_LINE)


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked if it is gzip, whatever its name."""
    with path.open("rb") as file:
        packed = file.peek(2)[:2] == b"\x1f\x8b"
        yield cast("BinaryIO", gzip.GzipFile(fileobj=file) if packed else file)


def read_head(path: Path, size: int = 1 << 16) -> bytes:
    """The first bytes of a file, unpacked if it is gzip. Raises `InputError`."""
    try:
        with open_plain(path) as file:
            return file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", "a file that can be read", "check it", where=str(path)) from error


def read_document(path: Path) -> Any:
    """A file that is one JSON document. Raises `InputError`."""
    try:
        with open_plain(path) as file:
            data = file.read(LARGEST_DOCUMENT + 1)
        if len(data) > LARGEST_DOCUMENT:
            raise ValueError(f"more than {LARGEST_DOCUMENT >> 30} GiB")
        return read_json(data)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"no JSON document that can be read: {error}", "JSON", "check the file", where=str(path)
        ) from error


class BoundedArchive:
    """A zip file whose members are read only up to a size, whatever their headers say."""

    def __init__(self, path: Path) -> None:
        """Opens it. Raises `InputError`."""
        self._left = LARGEST_ARCHIVE
        self._file = path.open("rb")
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            self._file.close()
            raise InputError(f"no zip file: {error}", "a zip archive", "check the file", where=str(path)) from error

    def __enter__(self) -> BoundedArchive:
        return self

    def __exit__(self, *exc: object) -> None:
        self._zip.close()
        self._file.close()

    def names(self) -> list[str]:
        """The names of all members."""
        return self._zip.namelist()

    def read(self, name: str) -> bytes:
        """A member's bytes. Raises `ValueError` for one that is too large or broken, `KeyError` where there is none."""
        info = self._zip.getinfo(name)
        limit = min(LARGEST_MEMBER, self._left)
        if info.file_size > limit:
            raise ValueError(f"unpacks to {info.file_size:,} bytes, more than {limit:,}")
        try:
            data = _unpack(self._packed(info), info.compress_type, limit)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be unpacked: {error}") from error
        if len(data) > limit:
            raise ValueError(f"unpacks to more than {limit:,} bytes")
        if zlib.crc32(data) != info.CRC:
            raise ValueError("its checksum does not hold")
        self._left -= len(data)
        return data

    def _packed(self, info: zipfile.ZipInfo) -> bytes:
        """A member's packed bytes, which stand after its local header. Python's own way takes three times as long, and
        knows no Zstandard."""
        if info.flag_bits & _ENCRYPTED:
            raise ValueError("encrypted")
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise ValueError("its local header is broken")
        n_name, n_extra = struct.unpack("<HH", header[26:30])
        self._file.seek(n_name + n_extra, os.SEEK_CUR)
        if info.compress_size > LARGEST_MEMBER:
            raise ValueError(f"{info.compress_size:,} packed bytes")
        return self._file.read(info.compress_size)


def _unpack(packed: bytes, method: int, limit: int) -> bytes:
    """Unpacked bytes, at most one more than `limit`. Raises `ValueError` for an unknown method."""
    if method == zipfile.ZIP_STORED:
        return packed[: limit + 1]
    if method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit + 1)
    if method == _ZSTD:
        import pyarrow as pa

        with pa.input_stream(pa.BufferReader(packed), compression="zstd") as stream:
            return stream.read(limit + 1)
    raise ValueError(f"packed by the method {method}")
