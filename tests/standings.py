"""Every accepted instance stands in one place: counted anew, and compared with what the node counts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw

# The worst first: the first of these in which a delivery is says where its instance stands.
_WORST = (
    ("quarantined", {"quarantined"}),
    ("parked", {"parked"}),
    ("waiting", {"gathering", "due", "sending", "retry_wait", "held", "verifying"}),
    ("ended", {"superseded", "discarded"}),
    ("delivered", {"delivered"}),
)


def databases(folder: Path) -> Iterator[Path]:
    """The buffers of nodes under a folder; spools are not looked into."""
    for place, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if one != "spool"]
        if "edge.db" in files:
            yield Path(place) / "edge.db"


def check_standings(database: Path) -> int:
    """Fail when a sum is not what the deliveries say; returns how many instances were accepted."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(5_000)
    try:
        with connection:  # one moment for all of it, also beside a node that runs
            states: dict[int, set[str]] = {}
            for instance, state in connection.execute("SELECT instance, state FROM delivery"):
                states.setdefault(instance, set()).add(state)
            rows = list(connection.execute("SELECT id, policy, standing FROM instance"))
            told = dict(connection.execute("SELECT standing, instances FROM standings"))
    finally:
        connection.close()
    accepted = [row for row in rows if row[2] != "repeated"]
    for row_id, policy, standing in accepted:
        assert standing == _standing(states.get(row_id, set()), policy), (row_id, states.get(row_id), standing)
    counted = Counter(standing for _id, _policy, standing in accepted)
    assert {key: count for key, count in told.items() if count} == counted
    assert sum(told.values()) == len(accepted)
    return len(accepted)


def _standing(states: set[str], policy: str) -> str:
    if not states:
        return "parked" if policy else "waiting"  # no route took it, or no policy is there yet
    return next(standing for standing, among in _WORST if states & among)
