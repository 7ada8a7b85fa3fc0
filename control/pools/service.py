"""The rules of pools: what a manager shall do, what people may say, what managers report."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import LastPoolMember, NotInAPool
from control.live.news import News
from control.live.service import record
from control.nodes.reports import SILENT_AFTER, NodeCaller, NodeFacts
from control.nodes.service import NodeService
from control.policies.service import PolicyService
from control.pools import repository
from control.pools.asked import AskedPools
from control.pools.assembling import Box, Word, document_of, fingerprint, pools_of
from control.pools.models import PoolWord
from control.pools.reports import ManagerSaid, last_ones, read_report
from control.principals import Scope
from control.sites.service import SiteFacts, SiteService
from mesh.pools import PoolModel, State
from mesh.signing import pools_payload

LOOK_SECONDS = 10.0
"""How long another replica's change may take to a manager that waits here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPools:
    """A site's pools as they go to its manager."""

    order: int
    document: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerFacts:
    """A manager and what it last said."""

    node_id: str
    node: str
    heard_at: datetime
    silent: bool
    report: ManagerSaid


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePools:
    """All that is known of a site's pools."""

    site: str
    order: int
    """Of what is wanted now."""
    pools: Sequence[PoolModel]
    words: Mapping[str, Word]
    """By the node's name."""
    managers: Sequence[ManagerFacts]


class PoolService:
    """Pools of all sites."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        nodes: NodeService,
        policies: PolicyService,
        audit: AuditService,
        key: Ed25519PrivateKey,
        clock: Clock,
    ) -> None:
        self._database, self._sites, self._nodes = database, sites, nodes
        self._asked, self._audit, self._key, self._clock = AskedPools(policies), audit, key, clock
        self._news: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    # -- for managers --------------------------------------------------------------------------------------------

    async def pull(self, caller: NodeCaller, *, have: int, refused: int, wait_seconds: float) -> SignedPools | None:
        """The site's pools when their order is another one than the manager has or refused; else wait for that."""
        ends = time.monotonic() + wait_seconds
        while True:
            news = self._news[caller.site_id]
            found = await self._wanted(caller.site)
            if found is not None and found.order not in (have, refused):
                return found
            left = ends - time.monotonic()
            if left <= 0:
                return None
            try:
                await asyncio.wait_for(news.wait(), min(left, LOOK_SECONDS))
            except TimeoutError:
                continue

    async def hear(self, caller: NodeCaller, content: bytes) -> None:
        """Keep what a manager reports.

        Raises:
            InvalidCommand: it is no report.
        """
        said = read_report(content)
        now = self._clock()
        async with self._database.transaction() as tx:
            before = await repository.manager(tx, caller.node_id)
            changed = before is None or _news_of(ManagerSaid.model_validate(before.report)) != _news_of(said)
            await repository.keep_report(tx, caller.node_id, caller.site_id, said.model_dump(mode="json"), now)
            if changed:
                await record(tx, [News(kind="pools_changed", body={"site": caller.site, "node": caller.name})], now)

    async def _wanted(self, site_name: str) -> SignedPools | None:
        async with self._database.snapshot() as session:
            site = await self._sites.require(session, site_name)
            pools = await self._pools(session, site)
            if pools is None:
                return None
            mark = fingerprint(site.name, pools)
            row = await repository.order(session, site.id)
            order = row.number if row is not None and row.sha256 == mark else None
        if order is None:
            order = await self._next_order(site, mark)
        document = document_of(site.name, order, pools)
        payload = pools_payload(site=site.name, order=order, document=document)
        return SignedPools(order=order, document=document, signature=self._key.sign(payload))

    async def _next_order(self, site: SiteFacts, mark: str) -> int:
        async with self._database.transaction() as tx:
            await self._sites.require(tx, site.name, lock=True)  # of two replicas, one counts on
            row = await repository.order(tx, site.id, lock=True)
            if row is not None and row.sha256 == mark:
                return row.number
            # Not from 1: a centre that was restored from a backup would offer orders that its managers have passed.
            number = max((row.number if row is not None else 0) + 1, int(self._clock().timestamp()))
            await repository.keep_order(tx, site.id, number, mark)
            return number

    async def _pools(self, session: AsyncSession, site: SiteFacts) -> tuple[PoolModel, ...] | None:
        """None while the site never had any: then a manager is told nothing, and a pool file may rule."""
        asked = await self._asked.of(session, site)
        if not asked and await repository.order(session, site.id) is None:
            return None
        nodes = await self._nodes.of_sites(session, [site])
        words = {row.node_id: _word(row) for row in await repository.words(session, [site.id])}
        boxes = [Box(name=one.name, addresses=one.report.addresses if one.report else {}) for one in nodes]
        return pools_of(asked, boxes, {one.name: words[one.id] for one in nodes if one.id in words})

    # -- for people ----------------------------------------------------------------------------------------------

    async def of(self, scope: Scope, site: str | None = None) -> Sequence[SitePools]:
        """The pools of the sites in the scope that have any, by the site's name.

        Raises:
            UnknownSite
        """
        async with self._database.snapshot() as session:
            names = [site] if site is not None else sorted((await self._sites.names(session)).values())
            wanted = [
                await self._sites.require(session, name, scope=scope)
                for name in names
                if site is not None or scope is None or name in scope
            ]
            return [found for one in wanted if (found := await self._of(session, one)) is not None]

    async def _of(self, session: AsyncSession, site: SiteFacts) -> SitePools | None:
        pools = await self._pools(session, site)
        managers = await repository.managers(session, [site.id])
        if pools is None and not managers:
            return None
        row, now = await repository.order(session, site.id), self._clock()
        nodes = {one.id: one for one in await self._nodes.of_sites(session, [site])}
        return SitePools(
            site=site.name,
            order=row.number if row is not None else 0,
            pools=pools or (),
            words={
                nodes[one.node_id].name: _word(one)
                for one in await repository.words(session, [site.id])
                if one.node_id in nodes
            },
            managers=[
                ManagerFacts(
                    node_id=one.node_id,
                    node=nodes[one.node_id].name,
                    heard_at=one.heard_at,
                    silent=now - one.heard_at > SILENT_AFTER,
                    report=ManagerSaid.model_validate(one.report),
                )
                for one in managers
                if one.node_id in nodes
            ],
        )

    async def say(
        self,
        site_name: str,
        node_name: str,
        *,
        state: State | None,
        weight: int | None,
        deadline_seconds: int,
        last: bool,
        actor: str,
    ) -> SitePools:
        """Let a node drain, rest or come back in its site's pools, or give it another share; the manager does it.

        Raises:
            UnknownSite, NotInAPool
            LastPoolMember: nobody else works behind one of its listeners, as far as is known, and `last` is not said.
        """
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name, lock=True)
            node = await self._member(tx, site, node_name)
            known = await self._of(tx, site)
            assert known is not None
            if not last and (state in ("drain", "maint") or weight == 0):
                _check_not_last(known, node_name)
            before = known.words.get(node_name)
            since = self._since(known, node_name) if state is not None else before.since if before else 0
            row = PoolWord(
                node_id=node.id,
                site_id=site.id,
                state=state or (before.state if before else "ready"),
                weight=weight if weight is not None else before.weight if before else None,
                since=since,
                deadline=since + deadline_seconds if state == "drain" and deadline_seconds else 0,
                said_by=actor,
            )
            await repository.keep_word(tx, row)
            said = {"site": site.name, "state": row.state, "weight": row.weight, "deadline": row.deadline}
            await self._audit.record(tx, actor=actor, action="pool.say", object=f"node:{node.id}", after=said)
            await record(tx, [News(kind="pools_changed", body={"site": site.name, "node": node.name})], self._clock())
            found = await self._of(tx, site)
        self._tell(site.id)
        assert found is not None
        return found

    async def _member(self, tx: AsyncSession, site: SiteFacts, name: str) -> NodeFacts:
        pools = await self._pools(tx, site) or ()
        if not any(member.node == name for pool in pools for member in pool.members):
            raise NotInAPool
        return next(one for one in await self._nodes.of_sites(tx, [site]) if one.name == name)

    def _since(self, known: SitePools, node: str) -> int:
        """Now, and in any case after what was said at the site: whatever the clocks of two hosts say."""
        said = [word.since for one in known.managers for word in one.report.words if word.node == node]
        before = known.words.get(node)
        return max(int(self._clock().timestamp()), before.since + 1 if before else 0, *(since + 1 for since in said))

    def _tell(self, site_id: int) -> None:
        self._news.pop(site_id, asyncio.Event()).set()


def _check_not_last(known: SitePools, node: str) -> None:
    heard = [one for one in known.managers if not one.silent]
    if not heard:
        raise LastPoolMember("No manager of this site is heard of, so that nobody knows who else works.")
    for one in heard:
        alone = last_ones(one.report.members, node)
        if alone:
            raise LastPoolMember(f"Nobody else works behind {', '.join(alone)}.")


def _word(row: PoolWord) -> Word:
    return Word(state=row.state, weight=row.weight, since=row.since, deadline=row.deadline)


def _news_of(said: ManagerSaid) -> ManagerSaid:
    """Without what changes all the time."""
    members = [one.model_copy(update={"sessions": min(one.sessions, 1), "check_words": ""}) for one in said.members]
    return said.model_copy(update={"members": members})
