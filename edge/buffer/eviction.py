"""Which delivered studies leave before their time when the disk fills (the plan is pure, and the oldest go first).

Nothing that is not finished everywhere is ever taken, whatever the plan says: the statement that takes it looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import apsw

from edge.buffer.database import run
from edge.buffer.writer import Writer

STUDIES_TOGETHER = 500
INSTANCES_TOGETHER = 2_000
"""Of one round: the writer has others to serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStudy:
    """A study of which something may leave."""

    study: str
    last_arrival: int
    """Of anything of it that is held, delivered or not."""
    evictable_bytes: int
    """Of those that are finished everywhere."""


def plan(studies: Iterable[HeldStudy], excess: int) -> list[str]:
    """The studies to let go: those that last got something longest ago, and no more of them than it takes."""
    chosen: list[str] = []
    for one in sorted(studies, key=lambda study: (study.last_arrival, study.study)):
        if excess <= 0:
            break
        if one.evictable_bytes > 0:
            chosen.append(one.study)
            excess -= one.evictable_bytes
    return chosen


class Evictions:
    """Takes what is planned out of the index; its slots are emptied as those of everything that was released."""

    def __init__(self, reader: Callable[[], apsw.Connection], writer: Writer) -> None:
        self._reader, self._writer = reader, writer

    def leaving_bytes(self) -> int:
        """How much was released and is still on the disk."""
        return int(run(self._reader(), "leaving_bytes")[0]["bytes"])

    def evict(self, excess: int, now: int) -> int:
        """Let go of about so many bytes, whole studies first come first gone; return how many instances."""
        if excess <= 0:
            return 0
        found = run(self._reader(), "evictable_studies", limit=STUDIES_TOGETHER)
        chosen = plan((HeldStudy(**row) for row in found), excess)

        def take(connection: apsw.Connection) -> int:
            gone, left = 0, excess
            for study in chosen:
                if left <= 0 or gone >= INSTANCES_TOGETHER:
                    break
                rows = run(connection, "evict", study=study, now=now, limit=INSTANCES_TOGETHER - gone)
                gone += len(rows)
                left -= sum(row["bytes"] for row in rows)
            return gone

        return self._writer.write(take) if chosen else 0
