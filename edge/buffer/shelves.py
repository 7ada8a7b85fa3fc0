"""Shelves: folders of slots. One process run makes files on a shelf, and holds its lock while it lives.

A lock of the kernel ends with its process, however that ends, so nobody has to believe a process number.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from pathlib import Path

from edge.buffer.slots import SLOTS_ON_A_SHELF, SUFFIX, is_shelf
from edge.durable import sync_directory


class Shelf:
    """A shelf of this process: new files are made here and nowhere else."""

    def __init__(self, root: Path) -> None:
        """Make the next shelf, for this process alone."""
        while True:
            self.name, self.descriptor = _make(root)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            if os.fstat(self.descriptor).st_nlink:
                break
            os.close(self.descriptor)  # taken for a dead one's, and removed before it was locked
        sync_directory(root)
        self._numbers = iter(range(SLOTS_ON_A_SHELF))
        self._lock = threading.Lock()
        # A reception that began before the shelf was full still syncs it: the last user closes it.
        self._close = weakref.finalize(self, os.close, self.descriptor)

    def new_file(self) -> tuple[str, int] | None:
        """The name and an open, locked descriptor of a new slot; None when this shelf is full."""
        with self._lock:
            number = next(self._numbers, None)
            if number is None:
                return None
            slot = f"{self.name}{number:08x}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            descriptor = os.open(slot + SUFFIX, flags, 0o600, dir_fd=self.descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return slot, descriptor

    def remove(self, slot: str) -> None:
        """Forget a file that was never sealed."""
        os.unlink(slot + SUFFIX, dir_fd=self.descriptor)

    def sync(self) -> None:
        """Make the names of new files survive a power cut."""
        os.fsync(self.descriptor)

    def leave(self) -> None:
        """Make no more files here: others may settle what lies here. Files that are open are still locked."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave it, with no file of it open any more."""
        self._close()


def shelf_names(root: Path) -> list[str]:
    """Every shelf of the spool."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if is_shelf(entry.name) and entry.is_dir(follow_symlinks=False))


def is_alive(root: Path, shelf: str) -> bool:
    """Whether the process that made this shelf still works with it."""
    try:
        descriptor = os.open(root / shelf, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_empty(root: Path, shelf: str) -> bool:
    """Remove a dead one's shelf that holds nothing; whether it is gone."""
    descriptor = os.open(root / shelf, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (root / shelf).rmdir()
    except OSError:  # somebody's after all, or not empty
        return False
    finally:
        os.close(descriptor)
    return True


def _make(root: Path) -> tuple[str, int]:
    number = max((int(name, 16) for name in shelf_names(root)), default=-1) + 1
    while True:
        name = f"{number:08x}"
        try:
            (root / name).mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            continue
        try:
            return name, os.open(root / name, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
