"""Makes slots while nothing else happens, so that what arrives next finds a file that was written before.

The sizes are learned from what came last; a node that knows too little of its modalities expects what most of them
send.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import structlog

from edge.buffer import slot_file
from edge.buffer.padding import TAIL_ROOM
from edge.buffer.shelves import Shelf
from edge.buffer.slot_index import DISK_SHARE, SlotIndex
from edge.buffer.slots import SUFFIX, size_for
from edge.buffer.spool import room
from edge.errors import SpoolFull

log = structlog.get_logger(__name__)
ROUND_BYTES = 96 << 20
"""What one round writes at most: a fraction of a second of any disk."""
LEARNED_FROM = 2000
KNOWS_ENOUGH = 200
EXPECTED_SHARES = {12_000: 1, 140_000: 1, 270_000: 1, 530_000: 5}
"""Shares of the bytes for a node that has seen little: small objects, MR of two sizes, and CT."""


class SlotMaker:
    """Keeps wiped slots ready for ingest processes. For one thread; `round` is called again and again."""

    def __init__(self, root: Path, index: SlotIndex, ready_bytes: int) -> None:
        """`ready_bytes` is how much of the disk may wait in empty slots."""
        self._root, self._index, self._ready_bytes = root, index, ready_bytes
        self._shelf: Shelf | None = None
        self._seen = -1

    def missing_bytes(self) -> int:
        """How much is still to be made; what comes when a size has run out goes into new files."""
        return sum(size * count for size, count in self._plan(self._ready_bytes))

    def round(self) -> int:
        """Make some slots if nothing came in since the last round and there are too few. Returns how many."""
        newest = self._index.newest()
        idle, self._seen = newest == self._seen, newest
        if not idle:
            return 0
        made: list[tuple[str, int]] = []
        for size, count in self._plan(ROUND_BYTES):
            made += self._make(size, count)
        if made:
            assert self._shelf is not None
            self._shelf.sync()
            self._index.add(made)
        return len(made)

    def close(self) -> None:
        """Make no more."""
        if self._shelf is not None:
            self._shelf.close()
            self._shelf = None

    def _plan(self, most_bytes: int) -> list[tuple[int, int]]:
        """Sizes and how many slots of them to make now, with so many bytes in all."""
        budget = min(self._ready_bytes, room(self._root)[0] // DISK_SHARE)
        left = min(most_bytes, budget - self._index.empty_bytes())
        plan = []
        for size, count in missing(self._index.sizes(), wanted(self._index.recent_lengths(LEARNED_FROM), budget)):
            number = min(count, left // size)
            left -= number * size
            if number > 0:
                plan.append((size, number))
        return plan

    def _make(self, size: int, count: int) -> list[tuple[str, int]]:
        made = []
        for _ in range(count):
            slot, descriptor = self._new_file()
            try:
                slot_file.wipe(descriptor, size)
            except SpoolFull:
                log.info("slots.no_room", hint="The disk is full; new images are refused soon.")
                (self._root / slot[:8] / (slot + SUFFIX)).unlink()
                break
            finally:
                os.close(descriptor)
            made.append((slot, size))
        return made

    def _new_file(self) -> tuple[str, int]:
        if self._shelf is None:
            self._shelf = Shelf(self._root)
        made = self._shelf.new_file()
        if made is None:
            self._shelf.sync()
            self._shelf.close()
            self._shelf = Shelf(self._root)
            made = self._shelf.new_file()
        assert made is not None
        return made


def wanted(lengths: list[int], budget: int) -> dict[int, int]:
    """How many slots of each size to have, for instances like these and so many bytes (pure)."""
    bytes_of: Counter[int] = Counter()
    for length, share in EXPECTED_SHARES.items() if len(lengths) < KNOWS_ENOUGH else ():
        bytes_of[size_for(length) or 0] += share
    if not bytes_of:
        for length in lengths:
            size = size_for(length + TAIL_ROOM)
            if size is not None:  # larger ones get a file of their own
                bytes_of[size] += size
    total = bytes_of.total()
    return {size: budget * share // total // size for size, share in bytes_of.items()} if total else {}


def missing(there: dict[int, int], wanted_by_size: dict[int, int]) -> list[tuple[int, int]]:
    """Sizes and how many slots of them are missing, the one first of which the greatest part is (pure)."""
    short = [(size, count - there.get(size, 0)) for size, count in wanted_by_size.items()]
    part = sorted(short, key=lambda one: -one[1] / max(1, wanted_by_size[one[0]]))
    return [(size, count) for size, count in part if count > 0]
