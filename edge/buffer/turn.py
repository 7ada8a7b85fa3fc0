"""Whose turn it is to write the buffer database, over all processes of a node and the commands beside it.

SQLite lets one connection write at a time, and lets the others ask again and again with growing pauses: the one that
was away longest asks least. Here they wait in the kernel, are woken when it is free, and a process that dies gives its
turn back.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class Turn:
    """`with turn:` around a writing transaction. Not for nesting, and for one thread at a time."""

    def __init__(self, database: Path) -> None:
        self._descriptor = os.open(database.with_name(f"{database.name}.turn"), os.O_RDWR | os.O_CREAT, 0o600)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
