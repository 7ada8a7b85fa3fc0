"""The rules of nodes: who may speak, what they said, who was revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import NameTaken, NodeRevoked, UnknownNode
from control.gather import Gatherer
from control.names import is_name
from control.nodes import repository
from control.nodes.clones import BootHistory, hear
from control.nodes.contacts import Contacts
from control.nodes.facts import node_facts
from control.nodes.models import Node
from control.nodes.reports import NodeCaller, NodeFacts, StatusReport
from control.principals import Scope, within
from control.sites.service import SiteFacts, SiteService

log = structlog.get_logger(__name__)

CONTACTS_SECONDS = 1.0
"""How often the contacts of all nodes are written, together."""

TOGETHER, WAITING = 500, 20_000
"""Nodes that are looked up by one query, and that wait for theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A box that proved its token and its key."""

    id: str
    name: str
    key_fingerprint: str
    certificate_ends: datetime


class NodeService:
    """Admit, recognise, hear, list and revoke nodes."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        audit: AuditService,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sites = sites
        self._audit = audit
        self._clock = clock
        self._contacts = Contacts(monotonic)
        self._lookups: Gatherer[str, repository.Standing | None] = Gatherer(
            self._look_up, most_together=TOGETHER, most_waiting=WAITING
        )

    async def admit(self, tx: AsyncSession, site: SiteFacts, node: NewNode, *, actor: str) -> None:
        """Add a node, inside the transaction that consumes its token.

        Raises:
            NameTaken: a node of this name is in the site already.
        """
        row = Node(
            id=node.id,
            site_id=site.id,
            name=node.name,
            key_fingerprint=node.key_fingerprint,
            certificate_ends=node.certificate_ends,
            enrolled_at=self._clock(),
        )
        repository.add(tx, row)
        try:
            await tx.flush()
        except IntegrityError:  # the index over names of living nodes: also when two boxes come at once
            raise NameTaken(
                f"Site {site.name} has a node called {node.name} already.",
                hint="Choose another name, or revoke the old node first if this box takes its place.",
            ) from None
        after = {"site": site.name, "name": node.name, "key_fingerprint": node.key_fingerprint}
        await self._audit.record(tx, actor=actor, action="node.enrol", object=f"node:{node.id}", after=after)

    async def recognise(self, node_id: str, site_name: str) -> NodeCaller:
        """The node that a certificate names.

        Raises:
            UnknownNode: no node of this id is in this site.
            NodeRevoked
        """
        known = self._contacts.known(node_id)
        if known is None:
            revocations = self._contacts.revocations
            found = await self._lookups.ask(node_id)
            if found is None:
                raise UnknownNode
            if found.site == site_name and found.revoked_at is not None:
                raise NodeRevoked
            known = NodeCaller(node_id=found.node_id, name=found.name, site_id=found.site_id, site=found.site)
            self._contacts.recognised(known, revocations=revocations)
        if known.site != site_name:
            raise UnknownNode
        self._contacts.spoke(node_id, self._clock())
        return known

    async def _look_up(self, node_ids: Sequence[str]) -> Sequence[repository.Standing | None]:
        async with self._database.snapshot() as session:
            found = await repository.standing(session, sorted(set(node_ids)))
        new = [one.node_id for one in found.values() if one.last_contact_at is None and one.revoked_at is None]
        if new:  # people wait for a new box to show itself
            now = self._clock()
            async with self._database.transaction() as tx:
                await repository.touch_all(tx, dict.fromkeys(new, now))
        return [found.get(node_id) for node_id in node_ids]

    async def write_contacts(self) -> None:
        """Run for ever: keep when each node spoke. A database that does not answer delays that and nothing else."""
        while True:
            await asyncio.sleep(CONTACTS_SECONDS)
            contacts = self._contacts.take()
            if not contacts:
                continue
            try:
                async with self._database.transaction() as tx:
                    await repository.touch_all(tx, contacts)
            except Exception as error:
                self._contacts.put_back(contacts)
                log.warning("node.contacts_unwritten", error=type(error).__name__)

    async def store_reports(
        self, tx: AsyncSession, said: Sequence[tuple[NodeCaller, StatusReport]]
    ) -> Sequence[bool | None]:
        """Keep many at once, in their order: whether two boxes seem to share each identity; None of a revoked node."""
        ids = sorted({caller.node_id for caller, _ in said})
        living = await repository.lock_living(tx, ids)  # two clones report at the same moment
        memories = await repository.memories(tx, ids)
        now = self._clock()
        newest: dict[str, tuple[StatusReport, BootHistory]] = {}
        answers: list[bool | None] = []
        suspects: list[NodeCaller] = []
        for caller, report in said:
            if caller.node_id not in living:
                answers.append(None)
                continue
            before, suspected = memories.get(caller.node_id, ((), False))
            boots = hear(before, report.boot_id, now)
            memories[caller.node_id] = (boots.boots, boots.clone_suspected)
            newest[caller.node_id] = (report, boots)
            answers.append(boots.clone_suspected)
            if boots.clone_suspected and not suspected:
                suspects.append(caller)
        await repository.store_reports(tx, newest, at=now)
        for caller in suspects:
            await self._tell_of_clone(tx, caller)
        return answers

    async def _tell_of_clone(self, tx: AsyncSession, caller: NodeCaller) -> None:
        log.error("node.clone_suspected", node=caller.node_id, site=caller.site)
        await self._audit.record(
            tx,
            actor="system",
            action="node.clone_suspected",
            object=f"node:{caller.node_id}",
            after={"site": caller.site, "name": caller.name},
        )

    async def replace_key(
        self, tx: AsyncSession, caller: NodeCaller, *, key_fingerprint: str, certificate_ends: datetime
    ) -> None:
        """Note the key of a renewed certificate."""
        node = await repository.by_id(tx, caller.node_id, lock=True)
        if node is None or node.revoked_at is not None:
            raise NodeRevoked
        before = {"key_fingerprint": node.key_fingerprint}
        if key_fingerprint != node.key_fingerprint:
            node.previous_key_fingerprint = node.key_fingerprint
        node.key_fingerprint, node.certificate_ends = key_fingerprint, certificate_ends
        await tx.flush()
        await self._audit.record(
            tx,
            actor=f"node:{caller.node_id}",
            action="node.renew",
            object=f"node:{caller.node_id}",
            before=before,
            after={"site": caller.site, "key_fingerprint": key_fingerprint},
        )

    async def holder_of_key(self, tx: AsyncSession, node_id: str, key_fingerprint: str) -> NodeCaller:
        """The node to which this key is bound, by its newest certificate or the one before.

        Raises:
            UnknownNode: there is none, or its key is another one: nobody learns which.
            NodeRevoked
        """
        node = await repository.by_id(tx, node_id, lock=True) if is_name(node_id) else None
        if node is None or key_fingerprint not in {node.key_fingerprint, node.previous_key_fingerprint}:
            raise UnknownNode
        if node.revoked_at is not None:
            raise NodeRevoked
        site = (await self._sites.names(tx, only=node.site_id))[node.site_id]
        return NodeCaller(node_id=node.id, name=node.name, site_id=node.site_id, site=site)

    async def revoke(self, node_id: str, *, actor: str) -> NodeFacts:
        """Refuse this node from now on. Done twice, it stays done.

        Raises:
            UnknownNode
        """
        async with self._database.transaction() as tx:
            node = await repository.by_id(tx, node_id, lock=True) if is_name(node_id) else None
            if node is None:
                raise UnknownNode
            site = (await self._sites.names(tx, only=node.site_id))[node.site_id]
            report = await repository.report_of(tx, node_id)
            if node.revoked_at is None:
                node.revoked_at = self._clock()
                await tx.flush()
                await self._audit.record(
                    tx,
                    actor=actor,
                    action="node.revoke",
                    object=f"node:{node_id}",
                    before={"revoked": False},
                    after={"revoked": True, "name": node.name, "site": site},
                )
            facts = node_facts(node, report, site=site)
        self._contacts.forget(node_id)
        return facts

    async def get(self, node_id: str) -> NodeFacts:
        """One node.

        Raises:
            UnknownNode
        """
        async with self._database.snapshot() as session:
            return await self.get_in(session, node_id)

    async def get_in(self, session: AsyncSession, node_id: str) -> NodeFacts:
        """The same, inside somebody's unit of work."""
        found = await repository.with_report(session, node_id) if is_name(node_id) else None
        if found is None:
            raise UnknownNode
        names = await self._sites.names(session, only=found[0].site_id)
        return node_facts(*found, site=names[found[0].site_id])

    async def page(self, *, site: str | None, after: str, limit: int, scope: Scope = None) -> Sequence[NodeFacts]:
        """Nodes of the sites in the scope by id, behind `after`; those of one site when it is named.

        Raises:
            UnknownSite
        """
        async with self._database.snapshot() as session:
            names = await self._sites.names(session)
            wanted = [key for key, name in names.items() if within(scope, name)] if scope is not None else None
            if site is not None:
                wanted = [(await self._sites.require(session, site, scope=scope)).id]
            found = await repository.after_id(session, site_ids=wanted, after=after, limit=limit)
        return [node_facts(node, report, site=names[node.site_id]) for node, report in found]

    async def hold_site(self, tx: AsyncSession, node: NodeFacts) -> None:
        """Let nobody else decide about the nodes of this node's site before the transaction ends."""
        row = await repository.by_id(tx, node.id)
        if row is not None:
            await repository.lock_site(tx, row.site_id)

    async def of_sites(self, session: AsyncSession, sites: Sequence[SiteFacts]) -> Sequence[NodeFacts]:
        """All nodes of some sites that were not revoked, inside somebody's unit of work."""
        names = {site.id: site.name for site in sites}
        found = await repository.of_sites(session, list(names))
        return [node_facts(node, report, site=names[node.site_id]) for node, report in found]
