"""What MQTT tells the centre, and what the centre tells over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


class PresenceService:
    """Who is connected to the broker. A hint beside a node's own word over gRPC, never instead of it."""

    def __init__(self, database: Database, ages: AgeService, clock: Clock) -> None:
        self._database = database
        self._ages = ages
        self._clock = clock
        self._last: dict[str, Presence] = {}

    async def hear(self, place: NodePlace, presence: Presence) -> bool:
        """Keep a word about a node that is enrolled. True when it is news."""
        if self._last.get(place.node_id) == presence:
            return False
        async with self._database.transaction() as tx:
            if place.node_id not in await self._ages.node_names(tx, [place.node_id]):
                return False
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
