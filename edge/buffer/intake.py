"""The ingest side of the spool: receptions, and a background thread that keeps empty slots ready for them.

Needs nobody else: while core is dead or the database cannot be written, new files are made instead.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import deque
from pathlib import Path

import structlog

from edge.buffer.free_slots import FreeSlot, FreeSlots
from edge.buffer.part10 import FileMeta
from edge.buffer.reception import ReadySlot, Reception
from edge.buffer.shelves import Shelf
from edge.buffer.slot_file import open_empty
from edge.buffer.slots import SIZES
from edge.buffer.spool import make_root, room
from edge.errors import SpoolError

log = structlog.get_logger(__name__)
FIRST_READY, FIRST_BYTES = 256, 64 << 20
"""What it begins with: the first study of the day must find more than the first slices' slots."""
MOST_READY = 512
READY_BYTES = 256 << 20
"""What one process keeps of one size at most: enough for the time that fetching more takes."""
PAUSE_SECONDS = 0.02
NONE_LEFT_SECONDS = 1.0


class Intake:
    """Takes instances into the spool of one data directory, for one process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._root = data_dir / "spool"
        make_root(self._root)
        self._shelf_lock = threading.Lock()
        self._first: Shelf | None = None
        self._shelf: Shelf | None = None
        self._ready: dict[int, deque[FreeSlot]] = {size: deque() for size in SIZES}
        self._wanted = {size: min(FIRST_READY, max(1, FIRST_BYTES // size)) for size in SIZES}
        self._missed: set[int] = set()
        self._again_at = dict.fromkeys(SIZES, 0.0)
        self._low = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slots", daemon=True)
        self._index: FreeSlots | None = None

    def start(self) -> None:
        """Begin to keep slots ready. Receptions work from now on, whether there are any or not."""
        self._first = self._shelf = Shelf(self._root)
        self._low.set()
        self._thread.start()

    def stop(self) -> None:
        """Give back what was not used. No reception may be open any more."""
        if self._first is None or self._stopping.is_set():
            return
        self._stopping.set()
        self._low.set()
        self._thread.join()
        if self._index is not None:
            self._give_back(self._index, [free.slot for ready in self._ready.values() for free in ready])
        for shelf in {self._first, self._shelf}:
            if shelf is not None:
                shelf.close()

    def begin(self, meta: FileMeta, *, expected_bytes: int = 0) -> Reception:
        """Start taking an instance in. `expected_bytes` is a guess of its size, for one that comes in pieces."""
        return Reception(self, meta, expected_bytes)

    def room(self) -> tuple[int, int]:
        """Bytes free for us and bytes in all, on the spool's disk."""
        return room(self._root)

    def ready(self, size: int) -> int:
        """How many slots of this size wait."""
        return len(self._ready[size])

    def take(self, size: int) -> ReadySlot:
        """See `SlotSource.take`: the smallest slot that fits without waste, else a new file."""
        at = bisect_left(SIZES, size)
        for near in SIZES[at : at + 2]:
            slot = self._take_ready(near)
            if slot is not None:
                return slot
        if at < len(SIZES):
            self._missed.add(SIZES[at])
            self._low.set()
        return self._new_file()

    def give_back(self, slot: ReadySlot) -> None:
        """See `SlotSource.give_back`."""
        os.close(slot.descriptor)
        self._ready[slot.size].append(FreeSlot(slot.name, slot.size, slot.generation))

    def _take_ready(self, size: int) -> ReadySlot | None:
        """Opened only now: a thread that opened them ahead would compete for the interpreter with every sender."""
        ready = self._ready[size]
        slot = None
        while slot is None and ready:
            try:
                free = ready.popleft()
            except IndexError:
                break  # another sender was quicker
            slot = self._open(free)
        if len(ready) * 2 <= self._wanted[size]:
            self._low.set()
        return slot

    def _new_file(self) -> ReadySlot:
        with self._shelf_lock:
            if self._shelf is None:
                raise SpoolError("the intake was not started")
            shelf, made = self._shelf, self._shelf.new_file()
            if made is None:
                shelf = Shelf(self._root)
                if self._shelf is not self._first:
                    self._shelf.leave()
                self._shelf, made = shelf, shelf.new_file()
        assert made is not None
        return ReadySlot(name=made[0], descriptor=made[1], size=0, generation=0, shelf=shelf)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._low.wait(NONE_LEFT_SECONDS)
            self._low.clear()
            try:
                self._fetch_all()
            except Exception:
                log.warning("intake.no_slots", exc_info=True, hint="New files are made meanwhile; nothing is refused.")
                self._stopping.wait(NONE_LEFT_SECONDS)
            self._stopping.wait(PAUSE_SECONDS)

    def _fetch_all(self) -> None:
        """Fill up every size that runs low."""
        if self._index is None:
            self._index = FreeSlots(self._data_dir / "edge.db")
        for size, ready in self._ready.items():
            if size in self._missed:
                self._missed.discard(size)
                self._wanted[size] = max(
                    self._wanted[size], min(self._wanted[size] * 2, MOST_READY, READY_BYTES // size)
                )
            wanted = self._wanted[size] - len(ready)
            if wanted * 2 < self._wanted[size] or time.monotonic() < self._again_at[size]:
                continue
            if not self._fetch(self._index, size, wanted):
                self._again_at[size] = time.monotonic() + NONE_LEFT_SECONDS

    def _fetch(self, index: FreeSlots, size: int, wanted: int) -> bool:
        """Whether there were as many as wanted."""
        assert self._first is not None
        found = index.claim(self._first.name, size, wanted)
        self._ready[size].extend(found)
        return len(found) == wanted

    def _open(self, free: FreeSlot) -> ReadySlot | None:
        """Look before writing: only a file that holds no seal may take an instance, whatever the index says."""
        descriptor = open_empty(self._root, free.slot, free.size)
        if descriptor is None:
            log.warning("intake.slot_not_free", slot=free.slot, hint="It is left alone; the next start settles it.")
            return None
        return ReadySlot(name=free.slot, descriptor=descriptor, size=free.size, generation=free.generation, shelf=None)

    def _give_back(self, index: FreeSlots, names: list[str]) -> None:
        try:
            index.give_back(names)
            index.close()
        except Exception:
            log.warning("intake.slots_not_returned", exc_info=True)  # the next start does it
