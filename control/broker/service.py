"""What MQTT tells the centre, and what the centre tells over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.broker import repository
from control.broker.models import NodePresence
from control.broker.nudges import Place, Presence
from control.clock import Clock
from control.db.session import Database
from control.fleet.heard import AgeService
from control.live.news import News
from control.live.service import record
from control.policies.board import PolicyBoard
from control.sites.service import SiteService
from mesh.topics import NodePlace

WRITE_STEP_SECONDS = 3.0
"""One node's presence is written at most this often."""
LONGEST_NODE_ID = 64


class PresenceService:
    """Who is connected to the broker. A hint beside a node's own word over gRPC, never instead of it."""

    def __init__(
        self, database: Database, ages: AgeService, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._ages = ages
        self._clock = clock
        self._monotonic = monotonic
        self._last: dict[str, Presence] = {}
        self._written: dict[str, float] = {}
        self._waiting: dict[str, tuple[NodePlace, Presence]] = {}

    async def hear(self, place: NodePlace, presence: Presence) -> bool:
        """Keep a word about a node. True when it was written and is news.

        A topic is only a claim: the word counts when the node is of that site and was not revoked. A node that
        changes its word every moment is written every few seconds; `settle` writes what it said last.
        """
        if self._last.get(place.node_id) == presence:
            self._waiting.pop(place.node_id, None)
            return False
        if len(place.node_id) > LONGEST_NODE_ID or "\0" in place.node_id:
            return False
        if self._wrote_just_now(place.node_id):
            self._waiting[place.node_id] = (place, presence)
            return False
        return await self._write(place, presence)

    async def settle(self) -> bool:
        """Write the words that had to wait and need not any more. True when one was news."""
        due = [node_id for node_id in self._waiting if not self._wrote_just_now(node_id)]
        return any([await self._write(*self._waiting.pop(node_id)) for node_id in due])

    def _wrote_just_now(self, node_id: str) -> bool:
        return self._monotonic() - self._written.get(node_id, float("-inf")) < WRITE_STEP_SECONDS

    async def _write(self, place: NodePlace, presence: Presence) -> bool:
        async with self._database.snapshot() as session:
            if await self._ages.living_site(session, place.node_id) != place.site:
                return False
        self._written[place.node_id] = self._monotonic()
        async with self._database.transaction() as tx:
            row = await repository.of_node(tx, place.node_id)
            news = row is None or (row.state, row.boot_id) != (presence.state, presence.boot_id)
            if news:
                await self._keep(tx, row, place, presence)
        self._last[place.node_id] = presence
        return news

    async def _keep(self, tx: AsyncSession, row: NodePresence | None, place: NodePlace, presence: Presence) -> None:
        now = self._clock()
        changed = row is None or row.state != presence.state
        if row is None:
            row = NodePresence(node_id=place.node_id)
            repository.add(tx, row)
        row.site, row.state, row.boot_id, row.heard_at = place.site, presence.state, presence.boot_id, now
        await tx.flush()
        if changed:
            body = {"site": place.site, "node_id": place.node_id, "state": presence.state}
            await record(tx, [News(kind="node_presence", body=body)], now)

    async def of_nodes(self, session: AsyncSession, node_ids: Sequence[str]) -> Mapping[str, str]:
        """`online` or `offline` of the nodes that the broker told of, inside somebody's unit of work."""
        return {row.node_id: row.state for row in await repository.of_nodes(session, node_ids)}


class NudgeService:
    """Which policy each site shall be told of."""

    def __init__(self, database: Database, sites: SiteService, board: PolicyBoard) -> None:
        self._database = database
        self._sites = sites
        self._board = board
        self._names: dict[int, str] = {}

    async def wanted(self) -> Mapping[str, Place]:
        """Site -> place, of the sites that have a policy. The board follows the database; names never change."""
        places = self._board.places()
        if not places.keys() <= self._names.keys():
            async with self._database.snapshot() as session:
                self._names = await self._sites.names(session)
        return {self._names[site_id]: place for site_id, place in places.items() if site_id in self._names}
