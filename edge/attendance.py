"""Which associations are open, over all ingest processes of a node: a number for each, in a small shared file.

Core reads there whether the sender of an image is still at it (`edge/gatherer.py`). Each process writes its own row
only, so no lock is needed between processes; a process that starts clears the row of its dead predecessor. Nothing in
it is a record: who has no place any more counts as gone.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from pathlib import Path

ROWS = 32
"""At most so many ingest processes."""
PLACES = 1024
"""Associations of one process that are told of; one above them is `UNKNOWN`, and its images wait for quiet alone."""
UNKNOWN = 0
"""No association in particular."""
_NUMBER = struct.Struct("<q")
_ROW_BYTES = PLACES * _NUMBER.size
_PLACES_IN_ALL = ROWS * PLACES
FILE = "attendance"
"""In `DATA_DIR/run`."""


class Attendance:
    """The file, seen by who only looks."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < ROWS * _ROW_BYTES:
                os.ftruncate(descriptor, ROWS * _ROW_BYTES)
            self._memory = mmap.mmap(descriptor, ROWS * _ROW_BYTES)
        finally:
            os.close(descriptor)

    def is_open(self, number: int) -> bool:
        """Whether this association still is."""
        return number > 0 and self._at(number % _PLACES_IN_ALL) == number

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def _at(self, place: int) -> int:
        (number,) = _NUMBER.unpack_from(self._memory, place * _NUMBER.size)
        return int(number)


class OwnAttendance(Attendance):
    """One ingest process's row in it."""

    def __init__(self, path: Path, row: int) -> None:
        super().__init__(path)
        self._first = row % ROWS * PLACES
        start = self._first * _NUMBER.size
        self._memory[start : start + _ROW_BYTES] = bytes(_ROW_BYTES)
        self._free = list(range(self._first, self._first + PLACES))
        self._moment = 0
        self._lock = threading.Lock()

    def enter(self) -> int:
        """The number of an association that is open from now on. It never comes again: the time is in it."""
        with self._lock:
            if not self._free:
                return UNKNOWN
            place = self._free.pop()
            self._moment = max(time.time_ns() // _PLACES_IN_ALL, self._moment + 1)
            number = self._moment * _PLACES_IN_ALL + place
            _NUMBER.pack_into(self._memory, place * _NUMBER.size, number)
            return number

    def leave(self, number: int) -> None:
        """It is over."""
        place = number % _PLACES_IN_ALL
        with self._lock:
            if self.is_open(number) and self._first <= place < self._first + PLACES:
                _NUMBER.pack_into(self._memory, place * _NUMBER.size, 0)
                self._free.append(place)
