"""The two ways that a data set's bytes come: as they are, and deflated (PS3.5 A.5)."""

from __future__ import annotations

import zlib
from typing import BinaryIO

_CHUNK = 64 * 1024
MAX_INFLATED = 64 * 1024 * 1024
"""Inflating stops here: no header is that long, and a small file can inflate to a thousand times its size."""


class PlainSource:
    """A stream as it is. Skips by seeking where the stream can."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._seekable = stream.seekable()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer at the end only."""
        data = self._stream.read(size) or b""
        while 0 < len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                break
            data += more
        return data

    def skip(self, size: int) -> None:
        """Pass over `size` bytes, or to the end."""
        if self._seekable and size > _CHUNK:
            self._stream.seek(size, 1)
            return
        while size > 0:
            got = len(self._stream.read(min(size, _CHUNK)) or b"")
            if not got:
                return
            size -= got


class DeflatedSource:
    """A raw deflate stream (RFC 1951), inflated piece by piece. Raises zlib.error where it is damaged."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
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
        """Pass over `size` bytes, or to the end."""
        while size > 0:
            got = len(self.read(min(size, _CHUNK)))
            if not got:
                return
            size -= got

    def _fill(self) -> bool:
        while not self._ready and not self._inflate.eof and self._total < MAX_INFLATED:
            packed = self._inflate.unconsumed_tail or self._stream.read(_CHUNK)
            self._ready = self._inflate.decompress(packed, _CHUNK)
            self._total += len(self._ready)
            if not packed and not self._ready:
                break
        return bool(self._ready)
