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
        self._since: defaultdict[str, int] = defaultdict(int)

    def earned(self, destination: str, limit: int) -> int:
        """How many of the next `limit` are theirs."""
        return min(self._since[destination] // ONE_IN, limit)

    def taken(self, destination: str, usual: int, oldest: int, *, others_wait: bool) -> None:
        """So many were claimed in the usual order, and so many for their age; who is not there saves no turns up."""
        self._since[destination] += usual - ONE_IN * oldest
        if not others_wait:
            self._since[destination] = 0

    def given_back(self, destination: str, count: int) -> None:
        """So many of those that were claimed were not sent."""
        self._since[destination] = max(0, self._since[destination] - count)


def claim_due(
    connection: apsw.Connection,
    turns: Turns,
    *,
    destination: str,
    limit: int,
    now: int,
    lease_until: int,
    least: Priority = Priority.BULK,
) -> list[ClaimedDelivery]:
    """Claim up to `limit` deliveries in the order in which they are to be sent, inside the caller's transaction.

    Nothing less urgent than `least` is claimed. They are of one priority, but for those whose turn has come by
    their age. These go first and count as urgent this time: a lane that is overtaken again and again would never
    come to them.
    """
    asked = {"destination": destination, "now": now, "lease_until": lease_until}
    earned = turns.earned(destination, limit) if least is Priority.BULK else 0
    usual = run(connection, "claim", limit=limit - earned, least=least, **asked)
    aged = run(connection, "claim_oldest", limit=earned, **asked) if earned else []
    lowest = max((row["priority"] for row in usual), default=Priority.STAT)
    (waits,) = run(connection, "least_urgent", destination=destination)
    others_wait = waits["priority"] is not None and waits["priority"] > lowest
    turns.taken(destination, len(usual), len(aged), others_wait=others_wait)
    passed_over = {row["id"] for row in aged if row["priority"] > lowest}
    claimed = rows.claimed(run(connection, "claimed", ids=json.dumps([row["id"] for row in (*usual, *aged)])))
    first = [replace(one, priority=Priority.STAT) for one in claimed if one.delivery_id in passed_over]
    return first + [one for one in claimed if one.delivery_id not in passed_over]
