"""Windows: the memory that bytes of an association pass through. Lent while bytes flow, so an idle one has none."""

from __future__ import annotations

import mmap
import threading

LARGE = 1 << 20
"""A CT slice passes in one piece, and so is written and synced by one system call."""
SMALL = 1 << 17
LARGE_LENT = 48
"""So many are lent at the same time; who comes later gets a small one, and the memory stays bounded."""
KEPT = 4


class Windows:
    """Lends windows to the associations of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[memoryview] = []
        self._large = 0

    def lend(self) -> memoryview:
        """A window; its content is that of whoever had it before."""
        with self._lock:
            if self._kept:
                self._large += 1
                return self._kept.pop()
            size = LARGE if self._large < LARGE_LENT else SMALL
            self._large += size == LARGE
        return memoryview(mmap.mmap(-1, size))  # pages of its own: what is not written costs nothing, and all goes back

    def give_back(self, window: memoryview) -> None:
        """Take a window back; no piece of it is looked at any more."""
        if len(window) != LARGE:
            return
        with self._lock:
            self._large -= 1
            if len(self._kept) < KEPT:
                self._kept.append(window)
