"""What the control plane was told: how far, and once more when it comes back from an older backup.

A control plane that was restored asks for nothing: it does not know what it lost. Its ack says it, and then the line
of what was told moves back: what instances were is still there and waits again, and what deliveries are now is told
anew. Everything is applied once in effect over there, however often it is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import apsw

from edge.buffer import rows
from edge.buffer.database import first, run
from edge.buffer.writer import Writer
from edge.model import OutboxEvent

KEPT = timedelta(days=7)
"""How old a backup may be from which a control plane still hears everything again."""
CLOCK_SLACK = 3_600_000_000
"""Microseconds by which this box's clock may have stepped back."""
TOGETHER = 1000
_EVER = -(2**62)


class Telling:
    """The outbox of a buffer. Reading is not removing."""

    def __init__(self, reader: Callable[[], apsw.Connection], writer: Writer) -> None:
        self._reader, self._writer = reader, writer

    def read(self, limit: int) -> Sequence[OutboxEvent]:
        """The oldest events that the control plane has not acknowledged."""
        return rows.events(run(self._reader(), "pending_events", limit=limit))

    def told(self, epoch: int) -> int:
        """How far it acknowledged under this epoch; 0 when it never did."""
        (line,) = run(self._reader(), "told")
        return int(line["sequence"]) if line["epoch"] == str(epoch) else 0

    def acknowledge(self, sequence: int, epoch: int) -> None:
        """It has events up to here."""

        def move(connection: apsw.Connection) -> None:
            run(connection, "drop_told_changes", sequence=sequence)
            run(connection, "move_told", sequence=sequence, epoch=str(epoch))

        self._writer.write(move)

    def tell_again(self, known: int, *, now: int) -> None:
        """It has events only up to `known`: what it no longer has waits again. Torn off, it is simply done again."""
        before = first(self._reader(), "told_before", sequence=known)
        since, after = (before["occurred_at"] - CLOCK_SLACK if before else _EVER), 0
        while ids := [
            row["id"] for row in run(self._reader(), "changed_since", since=since, after=after, limit=TOGETHER)
        ]:
            self._tell(json.dumps(ids), now)
            after = ids[-1]
        self._writer.write(lambda connection: run(connection, "move_told_back", sequence=known))

    def _tell(self, ids: str, now: int) -> None:
        self._writer.write(lambda connection: run(connection, "tell_together", ids=ids, now=now))

    def forget(self, before: int, limit: int = TOGETHER) -> None:
        """Let go of some that were told before this time."""
        oldest = first(self._reader(), "oldest_told")
        if oldest is not None and oldest["occurred_at"] < before:
            self._writer.write(lambda connection: run(connection, "forget_told", before=before, limit=limit))

    def set_aside(self, sequence: int, reason: str) -> None:
        """Keep an event that it cannot take, out of the way of all others, for a person."""
        self._writer.write(lambda connection: run(connection, "set_aside", sequence=sequence, reason=reason))

    def set_aside_count(self) -> int:
        """How many events wait for a person."""
        return int(run(self._reader(), "set_aside_count")[0]["events"])

    def keep_newest(self, count: int) -> None:
        """Keep only the newest events: for a node that has no control plane to tell them to."""
        self._writer.write(lambda connection: run(connection, "forget_events", keep=count))
