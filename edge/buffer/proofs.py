"""What destinations acknowledged and still have to say that they hold: whom to ask for what, and when again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import apsw

from edge.buffer.database import run
from edge.buffer.deliveries import ABSURD, Deliveries
from edge.buffer.seal import from_microseconds, to_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """A delivery that its destination acknowledged; the UIDs are those that were sent."""

    delivery_id: int
    instance_id: str
    attempts: int
    study: str
    series: str
    sop: str
    asked: int
    """How often it was asked for since it was sent."""
    missing: int
    """How often it was sent again because it was not there."""
    sent_at: datetime


class Proofs:
    """The questions of one destination. They live in the database, so a restart forgets none."""

    def __init__(self, buffer: Deliveries, destination: str) -> None:
        self._buffer, self._destination = buffer, destination

    def due(self, limit: int) -> list[Unproven]:
        """What it may be asked for now, the longest due first."""
        now = to_microseconds(self._buffer.clock.now())
        asked = {"destination": self._destination, "now": now, "absurd": now + ABSURD, "limit": limit}
        return [
            Unproven(
                delivery_id=row["id"],
                instance_id=row["instance_id"],
                attempts=row["attempts"],
                study=row["study"],
                series=row["series"],
                sop=row["sop"],
                asked=row["asked"],
                missing=row["missing"],
                sent_at=from_microseconds(row["changed_at"]),
            )
            for row in self._buffer.read("unproven", **asked)
        ]

    def ask_later(self, waiting: Sequence[Unproven], seconds: float, reason: str, *, asked: bool) -> None:
        """Ask for these again after so many seconds; `asked` counts a question that was answered without them."""
        ids = json.dumps([one.delivery_id for one in waiting])
        not_before = to_microseconds(self._buffer.clock.now() + timedelta(seconds=seconds))

        def later(connection: apsw.Connection) -> None:
            run(connection, "ask_later", ids=ids, not_before=not_before, reason=reason)
            if asked:
                run(connection, "count_question", ids=ids)

        self._buffer.write(later)

    def ask_now(self) -> None:
        """Whoever waits for a question waits no longer: nobody will ask it."""
        self._buffer.write(lambda connection: run(connection, "forget_time", destination=self._destination))
