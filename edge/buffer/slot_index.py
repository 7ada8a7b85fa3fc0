"""What the index knows of slots and shelves, for the process that owns the buffer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import apsw

from edge.buffer.database import Row, run
from edge.buffer.slots import generation_of, slot_of
from edge.buffer.spool import Spool
from edge.buffer.writer import Writer

DISK_SHARE = 20
"""At most one part in so many of the free disk waits in empty slots: a full disk gets back what is released."""


@dataclass(frozen=True, slots=True)
class EmptySlot:
    """A slot that the index takes for empty."""

    slot: str
    size: int
    generation: int
    """An instance of this or an earlier occupancy is nobody's any more."""
    owner: str | None
    """The first shelf of the process that may write into it."""


class SlotIndex:
    """Reads with the caller's connection, writes through the one writer."""

    def __init__(self, reader: Callable[[], apsw.Connection], writer: Writer, ready_bytes: int) -> None:
        self._reader, self._writer = reader, writer
        self._ready_bytes = ready_bytes
        """How much of the disk may wait in empty slots; 0 uses no file again."""

    def occupied(self, slots: Iterable[str]) -> dict[str, str]:
        """The instances that should lie in these slots."""
        found = run(self._reader(), "occupied", slots=json.dumps(list(slots)))
        return {row["slot"]: row["instance_id"] for row in found}

    def empty_among(self, slots: Iterable[str]) -> dict[str, EmptySlot]:
        """Which of these slots hold nothing."""
        found = run(self._reader(), "free_among", slots=json.dumps(list(slots)))
        return {row["slot"]: EmptySlot(**row) for row in found}

    def owned(self) -> list[EmptySlot]:
        """Slots that a process took: what it put into them may have no row yet."""
        return [EmptySlot(**row) for row in run(self._reader(), "owned_slots")]

    def closed_shelves(self) -> set[str]:
        """Shelves that need no look."""
        return {row["shelf"] for row in run(self._reader(), "closed_shelves")}

    def close_shelf(self, shelf: str) -> None:
        """Every file on it has its row, and no process makes files there any more."""
        self._run("close_shelf", shelf=shelf)

    def reopen_shelves(self) -> None:
        """Believe nothing of any shelf."""
        self._run("reopen_shelves")

    def give_back(self, slots: Sequence[str]) -> None:
        """These are empty, and anybody may take them."""
        if slots:
            self._run("give_slots_back", slots=json.dumps(slots))

    def forget(self, slot: str) -> None:
        """There is no such file any more."""
        self._run("forget_slot", slot=slot)

    def displaced(self, slots: Sequence[str]) -> list[str]:
        """Other instances lie in these slots; gives the ids of those that the index believed there."""
        found = self._writer.write(lambda connection: run(connection, "displaced", slots=json.dumps(slots)))
        return [row["instance_id"] for row in found]

    def add(self, slots: Sequence[tuple[str, int]]) -> None:
        """New slots, and their sizes: wiped, and on the disk."""

        def add_all(connection: apsw.Connection) -> None:
            for slot, size in slots:
                run(connection, "free_slot", slot=slot, size=size, generation=0)

        self._writer.write(add_all)

    def empty_bytes(self) -> int:
        """How much of the disk waits in empty slots."""
        return int(run(self._reader(), "free_bytes")[0]["bytes"])

    def sizes(self) -> dict[int, int]:
        """How many empty slots there are of each size."""
        return {row["size"]: row["slots"] for row in run(self._reader(), "free_by_size")}

    def recent_lengths(self, limit: int) -> list[int]:
        """How many bytes of a file the newest instances take."""
        return [row["bytes"] for row in run(self._reader(), "recent_lengths", limit=limit)]

    def newest(self) -> int:
        """A number that changes when instances get their rows."""
        return int(run(self._reader(), "newest")[0]["id"])

    def leave(self, spool: Spool, limit: int) -> int:
        """Take released instances out of their slots; return how many. One that is being read stays for now.

        Killed at any moment, this leaves a row that says that its slot still has to be emptied.
        """
        leaving = run(self._reader(), "leaving", limit=limit)
        if not leaving:
            return 0
        left = min(self._ready_bytes, spool.room()[0] // DISK_SHARE) - self.empty_bytes()
        done: list[tuple[Row, int]] = []
        for row in leaving:
            size = spool.empty(row["instance_id"], keep=left > 0)
            if size is not None:
                done.append((row, size))
                left -= size
        self._writer.write(lambda connection: _vacate(connection, done))
        return len(done)

    def _run(self, query: str, **values: object) -> None:
        self._writer.write(lambda connection: run(connection, query, **values))


def _vacate(connection: apsw.Connection, done: Sequence[tuple[Row, int]]) -> None:
    for row, size in done:
        run(connection, "vacate", id=row["id"])
        _free(connection, row["instance_id"], size)


def _free(connection: apsw.Connection, instance_id: str, size: int) -> None:
    slot = slot_of(instance_id)
    if size:
        run(connection, "free_slot", slot=slot, size=size, generation=generation_of(instance_id))
    else:
        run(connection, "forget_slot", slot=slot)
