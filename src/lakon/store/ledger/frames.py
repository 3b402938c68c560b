"""The ledger's file format: framed records, and how to find the sound ones whatever happened to the file.

Invariant: nothing here raises for any bytes. A header has a checksum of its own, so an index is built from
headers alone, and a damaged stretch is stepped over by looking for the next good header.

    file   = MAGIC record*
    record = SYNC | u32 length | u32 crc32(body) | u64 note | 16 bytes key | u32 crc32(header so far) | body
    body   = JSON (begins with "{") or the same, deflated (never begins with "{"),
             or nothing, which fails its checksum: all that is left of a damaged record is its note
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import orjson

from lakon.store.filesystem import read_at

MAGIC = b"lakon-ledger-2\n"
SYNC = b"\xf5LR\xff"
"""Bytes that cannot occur in UTF-8, so never in a JSON body."""
FRONT = struct.Struct("<4sIIQ16s")
HEADER_BYTES = FRONT.size + 4
COMPRESS_FROM = 512
NOTE_MAX = (1 << 64) - 1
CHUNK = 1 << 20


class Place(NamedTuple):
    """Where a body lies in the file, and the caller's note about it."""

    offset: int
    length: int
    note: int


class Header(NamedTuple):
    """A record's header, already found to be sound."""

    key: bytes
    crc: int
    body: Place

    @property
    def end(self) -> int:
        """The offset just after the record."""
        return self.body.offset + self.body.length


def scan_headers(fd: int, size: int) -> Iterator[Header]:
    """Every sound header whose record ends within the file, in order; damage is stepped over."""
    offset = len(MAGIC)
    while offset + HEADER_BYTES <= size:
        header = parse_header(read_at(fd, HEADER_BYTES, offset), offset)
        if header and header.end <= size:
            yield header
            offset = header.end
        else:
            offset = _next_sync(fd, offset + 1, size)


def _next_sync(fd: int, offset: int, size: int) -> int:
    while offset < size:
        chunk = read_at(fd, CHUNK, offset)
        at = chunk.find(SYNC)
        if at >= 0:
            return offset + at
        offset += max(1, len(chunk) - len(SYNC) + 1)
    return size


def parse_header(front: bytes, offset: int) -> Header | None:
    """The header that `front` begins with, if it is sound; `offset` is where it lies in the file."""
    if len(front) < HEADER_BYTES or front[:4] != SYNC:
        return None
    (crc,) = struct.unpack_from("<I", front, FRONT.size)
    if zlib.crc32(front[: FRONT.size]) != crc:
        return None
    _, length, body_crc, note, key = FRONT.unpack_from(front)
    return Header(key, body_crc, Place(offset + HEADER_BYTES, length, note))


def is_sound(fd: int, header: Header) -> bool:
    """Whether the body behind a header is what was written."""
    return zlib.crc32(read_at(fd, header.body.length, header.body.offset)) == header.crc


def frame_record(key: bytes, note: int, body: bytes) -> bytes:
    """One framed record."""
    return _framed(key, note, body, zlib.crc32(body))


def frame_remains(key: bytes, note: int) -> bytes:
    """What is kept of a record whose body was damaged: a header with the note, whose body is found to be bad again."""
    return _framed(key, note, b"", ~zlib.crc32(b"") & 0xFFFFFFFF)


def _framed(key: bytes, note: int, body: bytes, crc: int) -> bytes:
    front = FRONT.pack(SYNC, len(body), crc, note, key)
    return b"".join((front, struct.pack("<I", zlib.crc32(front)), body))


def encode_payload(payload: Mapping[str, object]) -> bytes:
    """A payload as JSON. Raises `TypeError` for what JSON cannot say."""
    try:
        return orjson.dumps(payload)
    except TypeError:  # lone surrogates and integers beyond 64 bits, which JSON's own rules allow
        return json.dumps(payload).encode()


def decode_payload(body: bytes) -> dict[str, object]:
    """The payload in a body, compressed or not."""
    text = body if body[:1] == b"{" else zlib.decompress(body)
    try:
        return cast("dict[str, object]", orjson.loads(text))
    except orjson.JSONDecodeError:
        return cast("dict[str, object]", json.loads(text))


def deflate_body(body: bytes) -> bytes:
    """The body as it goes into the file: compressed when that pays and has not been done."""
    if len(body) < COMPRESS_FROM or body[:1] != b"{":
        return body
    # Level 1: real traces shrink to a third; level 6 saves a sixth more for twice the time.
    small = zlib.compress(body, 1)
    return small if len(small) < len(body) else body
