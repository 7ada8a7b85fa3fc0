"""The two ways that a data set's bytes come: as they are, and deflated (PS3.5 A.5)."""

from __future__ import annotations

import os
import sys
import zlib
from typing import BinaryIO

_CHUNK = 64 * 1024
MAX_INFLATED = 64 * 1024 * 1024
"""Inflating stops here: no header is that long, and a small file can inflate to a thousand times its size."""


class Unreadable(Exception):
    """The header cannot be walked further."""


class PlainSource:
    """A stream as it is, up to `length` bytes of it. Skips by seeking where the stream can."""

    def __init__(self, stream: BinaryIO, length: int | None = None) -> None:
        self._stream = stream
        self._seekable = stream.seekable()
        self._left = sys.maxsize if length is None else length
        if self._seekable:
            here = stream.tell()
            self._left = min(self._left, stream.seek(0, os.SEEK_END) - here)
            stream.seek(here)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer at the end only."""
        size = min(size, self._left)
        data = self._stream.read(size) if size > 0 else b""
        while 0 < len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                break
            data += more
        self._left -= len(data)
        return data

    def skip(self, size: int) -> None:
        """Pass over `size` bytes. Raises Unreadable when there are not so many."""
        if self._seekable and size > _CHUNK and size <= self._left:
            self._stream.seek(size, os.SEEK_CUR)
            self._left -= size
            return
        _read_over(self, size)


class DeflatedSource:
    """A raw deflate stream (RFC 1951), inflated piece by piece. Raises zlib.error where it is damaged."""

    def __init__(self, packed: PlainSource) -> None:
        self._packed = packed
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""
        self._total = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer at the end only."""
        parts = []
        while size > 0 and (self._ready or self._fill()):
            parts.append(self._ready[:size])
            self._ready = self._ready[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes. Raises Unreadable when there are not so many."""
        _read_over(self, size)

    def _fill(self) -> bool:
        while not self._ready and not self._inflate.eof and self._total < MAX_INFLATED:
            packed = self._inflate.unconsumed_tail or self._packed.read(_CHUNK)
            self._ready = self._inflate.decompress(packed, _CHUNK)
            self._total += len(self._ready)
            if not packed and not self._ready:
                break
        return bool(self._ready)


def _read_over(source: PlainSource | DeflatedSource, size: int) -> None:
    while size > 0:
        got = len(source.read(min(size, _CHUNK)))
        if not got:
            raise Unreadable
        size -= got
