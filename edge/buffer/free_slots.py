"""The index of slots that hold nothing, as an ingest process uses it: its own connection, short transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from edge.buffer.database import open_writer, run
from edge.buffer.turn import Turn


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """A slot that holds nothing."""

    slot: str
    size: int
    generation: int
    """The last occupancy of it; an older seal in it is nobody's."""


class FreeSlots:
    """Takes slots and gives them back."""

    def __init__(self, database: Path) -> None:
        self._turn = Turn(database)
        with self._turn:
            self._connection = open_writer(database)

    def claim(self, owner: str, size: int, limit: int) -> list[FreeSlot]:
        """Up to `limit` slots of this size, ours until an instance lies in them or they are given back."""
        if not run(self._connection, "has_free_slots", size=size):
            return []
        with self._changing() as connection:
            rows = run(connection, "claim_slots", owner=owner, size=size, limit=limit)
        return [FreeSlot(row["slot"], size, row["generation"]) for row in rows]

    def give_back(self, slots: Iterable[str]) -> None:
        """Anybody may take these slots again; they are as empty as they were."""
        with self._changing() as connection:
            run(connection, "give_slots_back", slots=json.dumps(list(slots)))

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
        self._turn.close()

    @contextmanager
    def _changing(self) -> Iterator[apsw.Connection]:
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if not self._connection.get_autocommit():
                    self._connection.execute("ROLLBACK")
                raise
