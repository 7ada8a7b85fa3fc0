"""A data set in which some bytes are replaced, read in one pass: all of the original is proven, what is dropped too."""

from __future__ import annotations

import errno
import os
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from edge.errors import SealBroken
from edge.transform.failure import Impossible
from edge.transform.writing import Piece, size

_CHUNK = 1 << 20
_WINDOW = 64 << 10
MAX_INFLATED = 2 << 30
"""Bytes; a small file can inflate to a thousand times its size."""


class Readable(Protocol):
    """Bytes that are read once, from their beginning; `look` may see any of them at any time, unproven."""

    left: int

    def read(self, room: memoryview) -> int:
        """Fill the room; fewer bytes at the end only."""

    def look(self, at: int, size: int) -> bytes:
        """These bytes, as many as there are."""

    def close(self) -> None:
        """Give back what is open."""


class SpoolOrigin:
    """The original as the transforms look at it: through a window, so that small reads cost little."""

    def __init__(self, original: Readable) -> None:
        self._original, self.length = original, original.left
        self._at, self._window = 0, b""

    def read(self, at: int, size: int, /) -> bytes:
        """See `Origin.read`."""
        if not self._at <= at <= at + size <= self._at + len(self._window):
            self._at, self._window = at, self._original.look(at, max(size, _WINDOW))
        found = self._window[at - self._at : at - self._at + size]
        if len(found) < size:
            raise SealBroken("the spool file is shorter than it should be")
        return found


class Splice:
    """New bytes, and ranges of the original in their order; what is in no range is read, proven and dropped."""

    def __init__(self, original: Readable, pieces: Sequence[Piece]) -> None:
        self._original, self._pieces = original, deque(pieces)
        self._length = original.left
        self.left = size(pieces)
        self._done = 0

    def read(self, room: memoryview) -> int:
        """See `Readable.read`. The last bytes are given only when all of the original is proven."""
        wanted = min(len(room), self.left)
        filled = 0
        while filled < wanted:
            filled += self._next(room[filled:wanted])
        self.left -= filled
        if not self.left:
            self._drop_until(self._length)
        return filled

    def look(self, at: int, size: int) -> bytes:
        """Nobody looks into what is already transformed."""
        raise NotImplementedError

    def close(self) -> None:
        """See `Readable.close`."""
        self._original.close()

    def _next(self, room: memoryview) -> int:
        piece = self._pieces[0]
        if isinstance(piece, bytes):
            count = min(len(room), len(piece) - self._done)
            room[:count] = piece[self._done : self._done + count]
            self._done += count
            whole = self._done == len(piece)
        else:
            start, end = piece
            if not self._done:
                self._drop_until(start)
            count = self._original.read(room[: end - start - self._done])
            self._done += count
            whole = self._done == end - start
        if whole:
            self._pieces.popleft()
            self._done = 0
        return count

    def _drop_until(self, at: int) -> None:
        surplus = self._original.left - (self._length - at)
        room = memoryview(bytearray(min(_CHUNK, max(surplus, 0))))
        while surplus > 0:
            surplus -= self._original.read(room[: min(surplus, len(room))])


class Aside:
    """Bytes in a file without a name, which is gone when it is closed; `behind` is closed with it."""

    def __init__(self, file: IO[bytes], length: int, behind: Readable) -> None:
        self._file, self._behind, self.left, self._at = file, behind, length, 0

    def read(self, room: memoryview) -> int:
        """See `Readable.read`."""
        wanted, done = min(len(room), self.left), 0
        while done < wanted:
            count = os.preadv(self._file.fileno(), [room[done:wanted]], self._at)
            if not count:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            done, self._at = done + count, self._at + count
        self.left -= done
        return done

    def look(self, at: int, size: int) -> bytes:
        """See `Readable.look`."""
        return os.pread(self._file.fileno(), size, at)

    def close(self) -> None:
        """See `Readable.close`."""
        self._file.close()
        self._behind.close()


def inflated(packed: Readable, folder: Path) -> Readable:
    """A deflated data set (PS3.5 A.5) inflated, in a file aside. All of the packed one is read and proven."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - its reader closes it
    try:
        _inflate(packed, file)
        return Aside(file, file.tell(), packed)
    except BaseException:
        file.close()
        raise


def _inflate(packed: Readable, file: IO[bytes]) -> None:
    inflate, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for chunk in _chunks(packed):
        waiting: bytes | memoryview = chunk
        while waiting and not inflate.eof:
            try:
                plain = inflate.decompress(waiting, _CHUNK)
            except zlib.error:
                raise Impossible("the deflated data set cannot be inflated") from None
            waiting, length = inflate.unconsumed_tail, length + len(plain)
            if length > MAX_INFLATED:
                raise Impossible(f"the deflated data set is larger than {MAX_INFLATED >> 30} GiB")
            file.write(plain)
    file.write(inflate.flush())
    if not inflate.eof:
        raise Impossible("the deflated data set has no end")
    file.flush()


def deflated(plain: Readable, folder: Path) -> Readable:
    """The same data set deflated, in a file aside; padded to an even length (PS3.5 A.5)."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - its reader closes it
    try:
        for chunk in _chunks(plain):
            file.write(deflate.compress(chunk))
        file.write(deflate.flush())
        file.write(bytes(file.tell() % 2))
        file.flush()
        return Aside(file, file.tell(), plain)
    except BaseException:
        file.close()
        raise


def _chunks(source: Readable) -> Iterator[memoryview]:
    room = memoryview(bytearray(_CHUNK))
    while source.left:
        yield room[: source.read(room)]
