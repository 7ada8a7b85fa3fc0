"""What MQTT tells the centre, and what the centre tells over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control.broker import repository
from control.broker.nudges import Place, Presence
from control.clock import Clock
from control.db.session import Database
from control.fleet.heard import AgeService
from control.live.news import News
from control.live.service import record
from control.node_commands.board import CommandBoard
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
        self._turn = asyncio.Lock()
        """A word that comes while an older one of its node is being written must not be taken for what stands."""

    async def hear(self, place: NodePlace, presence: Presence) -> bool:
        """Keep a word about a node. True when it was written and is news.

        A topic is only a claim: the word counts when the node is of that site and was not revoked. A node that
        changes its word every moment is written every few seconds; `settle` writes what it said last.
        """
        return await self.hear_all([(place, presence)])

    async def hear_all(self, said: Iterable[tuple[NodePlace, Presence]]) -> bool:
        """Keep words about many nodes, in their order: one transaction for those that are due."""
        async with self._turn:
            due = self._due(said)
            return await self._write(due) if due else False

    def _due(self, said: Iterable[tuple[NodePlace, Presence]]) -> dict[NodePlace, Presence]:
        due: dict[NodePlace, Presence] = {}
        for place, presence in said:
            if len(place.node_id) > LONGEST_NODE_ID or "\0" in place.node_id:
                continue
            if self._last.get(place.node_id) == presence:
                self._waiting.pop(place.node_id, None)
                due.pop(place, None)
            elif self._wrote_just_now(place.node_id):
                self._waiting[place.node_id] = (place, presence)
            else:
                due[place] = presence
        return due

    async def settle(self) -> bool:
        """Write the words that had to wait and need not any more. True when one was news."""
        async with self._turn:
            due = [node_id for node_id in self._waiting if not self._wrote_just_now(node_id)]
            return await self._write(dict(self._waiting.pop(node_id) for node_id in due)) if due else False

    def _wrote_just_now(self, node_id: str) -> bool:
        return self._monotonic() - self._written.get(node_id, float("-inf")) < WRITE_STEP_SECONDS

    async def _write(self, said: Mapping[NodePlace, Presence]) -> bool:
        ids = sorted({place.node_id for place in said})
        async with self._database.snapshot() as session:
            sites = await self._ages.living_sites(session, ids)
        true = {place: presence for place, presence in said.items() if sites.get(place.node_id) == place.site}
        if not true:
            return False
        for place in true:
            self._written[place.node_id] = self._monotonic()
        async with self._database.transaction() as tx:
            kept = {row.node_id: (row.state, row.boot_id) for row in await repository.of_nodes(tx, ids)}
            news = {
                place: presence
                for place, presence in true.items()
                if kept.get(place.node_id) != (presence.state, presence.boot_id)
            }
            now = self._clock()
            await repository.keep(tx, news, at=now)
            changed = [one for one in news.items() if kept.get(one[0].node_id, ("",))[0] != one[1].state]
            await record(tx, [_news(place, presence) for place, presence in changed], now)
        self._last.update({place.node_id: presence for place, presence in true.items()})
        return bool(news)

    async def of_nodes(self, session: AsyncSession, node_ids: Sequence[str]) -> Mapping[str, str]:
        """`online` or `offline` of the nodes that the broker told of, inside somebody's unit of work."""
        return {row.node_id: row.state for row in await repository.of_nodes(session, node_ids)}


def _news(place: NodePlace, presence: Presence) -> News:
    return News(kind="node_presence", body={"site": place.site, "node_id": place.node_id, "state": presence.state})


class NudgeService:
    """Which policy each site shall be told of, and which nodes that something is asked of them."""

    def __init__(self, database: Database, sites: SiteService, board: PolicyBoard, commands: CommandBoard) -> None:
        self._commands = commands
        self._database = database
        self._sites = sites
        self._board = board
        self._names: dict[int, str] = {}

    async def wanted(self) -> Mapping[str, Place]:
        """Site -> place and turn, of the sites with a policy. The board follows the database; names never change."""
        places = self._board.places()
        if not places.keys() <= self._names.keys():
            async with self._database.snapshot() as session:
                self._names = await self._sites.names(session)
        return {
            self._names[site_id]: (*place, self._board.turn(site_id))
            for site_id, place in places.items()
            if site_id in self._names
        }

    def asked(self) -> Mapping[NodePlace, datetime]:
        """The nodes of which something is asked, and when the newest of it was."""
        return {NodePlace(site=site, node_id=node): at for (site, node), at in self._commands.newest().items()}
