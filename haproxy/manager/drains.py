"""When a drain is done, and when hours of maintenance must wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from haproxy.manager.interface import MemberReport
from haproxy.manager.standing import Standing, Standings, standings
from haproxy.manager.words import Said
from mesh.pools import PoolsDocument


class Drains:
    """Which draining nodes were empty at the last look. Twice in a row counts: an association may be on its way."""

    def __init__(self) -> None:
        self._empty: dict[str, int] = {}

    def done(self, standing: Standings, members: Sequence[MemberReport]) -> tuple[Standing, ...]:
        """Those whose last association has ended, in every pool and every worker."""
        draining = {one.node: one for one in standing.values() if one.state == "drain"}
        empty = {
            node: one.since
            for node, one in draining.items()
            if all(member.admin == "drain" and not member.sessions for member in members if member.node == node)
        }
        done = tuple(one for node, one in draining.items() if self._empty.get(node) == one.since == empty.get(node))
        self._empty = empty
        return done


def hours_that_wait(
    document: PoolsDocument, said: Said, now: datetime, members: Sequence[MemberReport]
) -> frozenset[str]:
    """Nodes whose hours have come, and without which nobody would work behind one of their listeners."""
    by_hours = sorted({one.node for one in standings(document, said, now).values() if one.source == "hours"})
    out: set[str] = set()
    waiting: set[str] = set()
    for node in by_hours:
        listeners = {(member.pool, member.listener) for member in members if member.node == node}
        others = {
            (member.pool, member.listener)
            for member in members
            if member.node not in {node, *out} and member.up and member.admin == "ready"
        }
        (out if listeners <= others else waiting).add(node)
    return frozenset(waiting)
