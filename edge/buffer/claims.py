"""Who is claimed next: the most urgent, then the oldest; and now and then the oldest of all, so that nobody starves."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace

import apsw

from edge.buffer import rows
from edge.buffer.database import run
from edge.model import ClaimedDelivery, Priority

ONE_IN = 25
"""Of so many deliveries that are claimed, one is the oldest that waits, whatever its priority."""


class Turns:
    """Counts, for each destination, how many turns the oldest have earned. Nothing of it outlives the process."""

    def __init__(self) -> None:
        self._earned: defaultdict[str, int] = defaultdict(int)

    def of_the_oldest(self, destination: str, limit: int) -> int:
        """How many of the next `limit` are theirs."""
        turns, self._earned[destination] = divmod(self._earned[destination] + limit, ONE_IN)
        return min(turns, limit)


def claim_due(
    connection: apsw.Connection, *, destination: str, limit: int, oldest: int, now: int, lease_until: int
) -> list[ClaimedDelivery]:
    """Claim up to `limit` deliveries in the order in which they are to be sent, inside the caller's transaction.

    When more urgent ones leave no room for others, `oldest` of them are those that wait longest. They go first and
    count as urgent this time: a lane that is overtaken again and again would never come to them.
    """
    asked = {"destination": destination, "now": now, "lease_until": lease_until}
    found = run(connection, "claim", limit=limit - oldest, **asked)
    aged = run(connection, "claim_oldest", limit=oldest, **asked) if len(found) == limit - oldest and oldest else []
    least = max((row["priority"] for row in found), default=Priority.STAT)
    passed_over = {row["id"] for row in aged if row["priority"] > least}
    ids = json.dumps([row["id"] for row in (*found, *aged)])
    claimed = rows.claimed(run(connection, "claimed", ids=ids))
    first = [replace(one, priority=Priority.STAT) for one in claimed if one.delivery_id in passed_over]
    return first + [one for one in claimed if one.delivery_id not in passed_over]
