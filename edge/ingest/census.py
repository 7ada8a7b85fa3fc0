"""How many associations are open, over all ingest processes of a node: counters in a small shared file.

Each process writes its own row only, so no lock is needed; a process that starts clears the row of its dead
predecessor. Peers are counted in buckets: two that share one also share a limit, which is rare and harmless.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import zlib
from pathlib import Path

BUCKETS = 4096
ROWS = 32
"""At most so many ingest processes."""
_COUNT = struct.Struct("<H")
_ROW_BYTES = BUCKETS * _COUNT.size
_TOTAL = 0


class Census:
    """The counters, and this process's row."""

    def __init__(self, path: Path, row: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < ROWS * _ROW_BYTES:
                os.ftruncate(descriptor, ROWS * _ROW_BYTES)
            self._memory = mmap.mmap(descriptor, ROWS * _ROW_BYTES)
        finally:
            os.close(descriptor)
        self._mine = row % ROWS * _ROW_BYTES
        self._memory[self._mine : self._mine + _ROW_BYTES] = bytes(_ROW_BYTES)
        self._lock = threading.Lock()

    def enter(self, peer: str) -> None:
        """An association of this peer is open."""
        self._add(_bucket(peer), 1)

    def leave(self, peer: str) -> None:
        """It is over."""
        self._add(_bucket(peer), -1)

    def total(self) -> int:
        """Open associations of the node."""
        return self._sum(_TOTAL)

    def of(self, peer: str) -> int:
        """Open associations of this peer."""
        return self._sum(_bucket(peer))

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def _add(self, bucket: int, change: int) -> None:
        with self._lock:
            for one in (_TOTAL, bucket):
                at = self._mine + one * _COUNT.size
                (count,) = _COUNT.unpack_from(self._memory, at)
                _COUNT.pack_into(self._memory, at, max(0, min(count + change, 0xFFFF)))

    def _sum(self, bucket: int) -> int:
        offsets = range(bucket * _COUNT.size, ROWS * _ROW_BYTES, _ROW_BYTES)
        return sum(_COUNT.unpack_from(self._memory, at)[0] for at in offsets)


def _bucket(peer: str) -> int:
    return 1 + zlib.crc32(peer.encode()) % (BUCKETS - 1)
