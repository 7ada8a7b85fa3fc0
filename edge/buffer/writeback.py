"""Lets the disk begin on a large object while the rest of it still comes, so that its seal waits for little."""

from __future__ import annotations

import ctypes

STEP = 4 << 20
"""Bytes that are handed to the disk together."""
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
_libc = ctypes.CDLL(None)


def begin(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to write these bytes, without waiting and without any promise; see `sync_file_range(2)`."""
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)
