"""The rules of groups and layers: what is uploaded must let every node load; what is published reaches the sites."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control.attempt import is_trial
from control.audit.chain import Summary
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import NameTaken
from control.names import checked_name
from control.nodes.reports import NodeFacts
from control.nodes.service import NodeService
from control.policies.service import PolicyService
from control.policy_errors import InvalidLayer, LayerMoved, UnknownGroup, UnknownPolicyVersion, UnknownScope
from control.scopes import repository
from control.scopes.applying import apply_to
from control.scopes.book import Book, Found, Renderer, gathered
from control.scopes.facts import GroupFacts, LayerFacts
from control.scopes.layers import LayerFinding, merge, plain_text
from control.scopes.models import PolicyLayer
from control.sites.service import SiteFacts, SiteService

Affected = Sequence[tuple[SiteFacts, Sequence[NodeFacts]]]
"""Sites with those of their nodes that have a layer of their own."""


async def book_of(session: AsyncSession) -> Book:
    """The layers that count now."""
    documents = await repository.active_documents(session)
    return Book(
        texts={scope: plain_text(document) for scope, document in documents.items()},
        groups=await repository.groups(session),
    )


class ScopeService:
    """Groups of sites, and layers of policies."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        nodes: NodeService,
        policies: PolicyService,
        audit: AuditService,
        clock: Clock,
    ) -> None:
        self._database, self._sites, self._nodes = database, sites, nodes
        self._policies, self._audit, self._clock = policies, audit, clock

    async def add_group(self, name: str, *, actor: str) -> GroupFacts:
        """A new group without sites.

        Raises:
            InvalidName, NameTaken
        """
        checked_name(name)
        async with self._database.transaction() as tx:
            try:
                await repository.add_group(tx, name, self._clock())
            except IntegrityError:
                raise NameTaken(f"A group called {name} exists already.") from None
            await self._audit.record(tx, actor=actor, action="group.add", object=f"group:{name}", after={"name": name})
        return GroupFacts(name=name, sites=())

    async def groups(self) -> Sequence[GroupFacts]:
        """All groups by name."""
        async with self._database.snapshot() as session:
            return await self._groups(session)

    async def _groups(self, session: AsyncSession) -> Sequence[GroupFacts]:
        names = await self._sites.names(session)
        found = await repository.groups(session)
        return [GroupFacts(name=one, sites=tuple(sorted(names[key] for key in ids))) for one, ids in found.items()]

    async def change_group(self, name: str, site_name: str, *, member: bool, actor: str) -> GroupFacts:
        """Put a site into a group, or take it out. What it runs changes with the next publication of a layer over it.

        Raises:
            UnknownGroup, UnknownSite
        """
        async with self._database.transaction() as tx:
            await repository.lock(tx)
            if name not in await repository.groups(tx):
                raise UnknownGroup
            site = await self._sites.require(tx, site_name)
            await (repository.add_member if member else repository.remove_member)(tx, name, site.id)
            action = "group.add-site" if member else "group.remove-site"
            await self._audit.record(tx, actor=actor, action=action, object=f"group:{name}", after={"site": site.name})
            return next(one for one in await self._groups(tx) if one.name == name)

    async def upload(self, scope: str, document: bytes, *, actor: str, if_match: str | None = None) -> LayerFacts:
        """Keep a document as the scope's next version, when every node under it could load what would come of it.

        Raises:
            UnknownScope
            InvalidLayer: with everything that is wrong, for all sites.
            LayerMoved: `if_match` names another state.
        """
        async with self._database.transaction() as tx:
            await repository.lock(tx)
            await self._expect(tx, scope, if_match)
            book = (await book_of(tx)).saying(scope, document)
            affected = await self._affected(tx, scope, book)
            warnings = await self._checked(scope, book, affected)
            row = PolicyLayer(
                scope=scope,
                version=await repository.newest(tx, scope) + 1,
                document=document,
                sha256=hashlib.sha256(document).digest(),
                created_at=self._clock(),
                created_by=actor,
            )
            await repository.add_layer(tx, row)
            after: Summary = {"version": row.version, "sha256": row.sha256.hex()}
            await self._audit.record(tx, actor=actor, action="layer.upload", object=f"layer:{scope}", after=after)
            names = tuple(site.name for site, _ in affected)
            return _facts(row, active=False, sites=names, warnings=warnings, etag=await self._etag(tx, scope))

    async def publish(self, scope: str, version: int, *, actor: str, if_match: str | None = None) -> LayerFacts:
        """Let a version count, and give each site and node under it what comes of it when that is another text.

        Raises:
            UnknownScope, UnknownPolicyVersion, InvalidLayer, LayerMoved
            PolicyHeld: a roll-out is under way at a site that would change.
        """
        async with self._database.transaction() as tx:
            await repository.lock(tx)
            await self._expect(tx, scope, if_match)
            row = await self._layer(tx, scope, version)
            book = (await book_of(tx)).saying(scope, row.document)
            affected = await self._affected(tx, scope, book, lock=True)
            renderer = Renderer(book, checked=True)
            warnings = await self._checked(scope, book, affected, renderer)
            await repository.activate(tx, scope, version, at=self._clock(), by=actor)
            changed: list[str] = []
            for site, nodes in affected:
                changed += await apply_to(tx, self._policies, renderer, site, nodes, by=actor, at=self._clock())
            after: Summary = {"version": version, "changed": len(changed)}
            await self._audit.record(tx, actor=actor, action="layer.publish", object=f"layer:{scope}", after=after)
            etag = await self._etag(tx, scope)
        if not is_trial():
            await self._policies.assigning.tell()
        names = tuple(site.name for site, _ in affected)
        return _facts(row, active=True, sites=names, changed=tuple(changed), warnings=warnings, etag=etag)

    async def page(self, scope: str, *, before: int | None, limit: int) -> Sequence[LayerFacts]:
        """Versions of a scope's layer from the newest back.

        Raises:
            UnknownScope
        """
        async with self._database.snapshot() as session:
            await self._affected(session, scope, Book(texts={}, groups=await repository.groups(session)))
            active = (await repository.active_versions(session)).get(scope)
            rows = await repository.layers_before(session, scope, before=before, limit=limit)
            return [_facts(one, active=one.version == active) for one in rows]

    async def etag(self, scope: str) -> str:
        """The state of a scope's layer, for If-Match."""
        async with self._database.snapshot() as session:
            return await self._etag(session, scope)

    async def document(self, scope: str, version: int) -> bytes:
        """The text of one version.

        Raises:
            UnknownPolicyVersion
        """
        async with self._database.snapshot() as session:
            return (await self._layer(session, scope, version)).document

    async def _layer(self, session: AsyncSession, scope: str, version: int) -> PolicyLayer:
        row = await repository.layer(session, scope, version)
        if row is None:
            raise UnknownPolicyVersion
        return row

    async def _affected(self, session: AsyncSession, scope: str, book: Book, *, lock: bool = False) -> Affected:
        """The sites under a scope that layers govern, each with its nodes that have a layer."""
        kind, _, name = scope.partition("/")
        names = await self._sites.names(session)
        if kind == "group" and name not in book.groups:
            raise UnknownGroup
        if kind == "site" and name not in names.values():
            raise UnknownScope(f"There is no site called {name}.")
        if kind == "group":
            names = {key: one for key, one in names.items() if key in book.groups[name]}
        elif kind == "site":
            names = {key: one for key, one in names.items() if one == name}
        elif kind == "node":
            node = await self._nodes.get_in(session, name)
            if node.revoked_at is not None:
                raise UnknownScope(f"Node {name} is revoked.")
            names = {key: one for key, one in names.items() if one == node.site}
        sites = [await self._sites.require(session, one, lock=lock) for one in sorted(names.values())]
        sites = [one for one in sites if book.governs(one)]
        nodes = await self._nodes.of_sites(session, sites)
        return [
            (site, [one for one in nodes if one.site == site.name and f"node/{one.id}" in book.texts]) for site in sites
        ]

    async def _checked(
        self, scope: str, book: Book, affected: Affected, renderer: Renderer | None = None
    ) -> tuple[Found, ...]:
        if scope.startswith("node/") and not affected:
            raise InvalidLayer(
                "The site of this node is under no layer, so one of the node has nothing to stand on.",
                hint="Put the site into a group, or give it a layer of its own first.",
            )
        found = gathered(await asyncio.to_thread(_look, scope, renderer or Renderer(book, checked=True), affected))
        errors = [one for one in found if one.finding.severity == "error"]
        if errors:
            raise InvalidLayer(diagnostics=[one.document() for one in found])
        return found

    async def _etag(self, session: AsyncSession, scope: str) -> str:
        active = (await repository.active_versions(session)).get(scope, 0)
        return f'"{await repository.newest(session, scope)}-{active}"'

    async def _expect(self, tx: AsyncSession, scope: str, if_match: str | None) -> None:
        etag = await self._etag(tx, scope)
        if (
            if_match is not None
            and if_match.strip() != "*"
            and etag not in [one.strip() for one in if_match.split(",")]
        ):
            raise LayerMoved(etag=etag)


def _look(scope: str, renderer: Renderer, affected: Affected) -> list[tuple[str, Sequence[LayerFinding]]]:
    """What is to be said of the effective policies of all; of a layer over nobody, what can be said without one."""
    if not affected:
        alone = renderer.book.alone(scope)
        return [(scope, merge(alone).findings)]
    found: list[tuple[str, Sequence[LayerFinding]]] = []
    for site, nodes in affected:
        found.append((site.name, renderer.of(site)[0].findings))
        found += [(f"node/{one.id}", renderer.of(site, one.id)[0].findings) for one in nodes]
    return found


def _facts(
    row: PolicyLayer,
    *,
    active: bool,
    sites: tuple[str, ...] = (),
    changed: tuple[str, ...] = (),
    warnings: tuple[Found, ...] = (),
    etag: str = "",
) -> LayerFacts:
    return LayerFacts(
        scope=row.scope,
        version=row.version,
        sha256=row.sha256.hex(),
        created_at=row.created_at,
        created_by=row.created_by,
        active=active,
        sites=sites,
        changed=changed,
        warnings=warnings,
        etag=etag,
    )
