"""What is to run and what runs: effective policies with their origins, differences of versions, drift."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.db.session import Database
from control.nodes.service import NodeService
from control.policies.service import PolicyService
from control.policy_difference import changes, line_changes
from control.policy_errors import UnknownPolicyVersion
from control.principals import Scope
from control.scopes import repository
from control.scopes.book import Renderer
from control.scopes.drift import Drift, Standing, drift_of
from control.scopes.layers import Layer, plain_text
from control.scopes.render import Origin, render
from control.scopes.seen import Difference, EffectiveFacts
from control.scopes.service import book_of
from control.sites.service import SiteFacts, SiteService


class ScopeViews:
    """Looks at scopes; changes nothing."""

    def __init__(
        self, database: Database, sites: SiteService, nodes: NodeService, policies: PolicyService, clock: Clock
    ) -> None:
        self._database, self._sites, self._nodes = database, sites, nodes
        self._policies, self._clock = policies, clock

    async def effective(self, site_name: str, node_id: str = "") -> EffectiveFacts:
        """What a site or a node of it is to run, by the layers that count or else by what was published to the site.

        Raises:
            UnknownSite
            UnknownPolicyVersion: nothing was published, and no layer is over it.
        """
        async with self._database.snapshot() as session:
            site = await self._sites.require(session, site_name)
            book = await book_of(session)
            wanted = (await self._policies.wanted(session, [site.id])).get(site.id)
            own = (await self._policies.assigned(session, [site.id])).get(node_id) if node_id else None
            standing = own or wanted
            text = b""
            if standing is not None:
                text = (await self._policies.revision(session, site.id, standing[0][1])).document
        if book.governs(site):
            found, digest = await asyncio.to_thread(Renderer(book, checked=True).of, site, node_id)
            layers = tuple(one.name for one in book.stack(site, node_id))
            published = standing is not None and standing[1] == digest
            return _effective(site, node_id, found.document, found.origins, layers, standing, published=published)
        if standing is None:
            raise UnknownPolicyVersion(f"Site {site.name} runs no policy.")
        name = f"site/{site.name}"
        origins = (await asyncio.to_thread(render, [Layer(name=name, text=plain_text(text))], checked=False)).origins
        return _effective(site, node_id, text, origins, (), standing, published=True)

    async def site_of(self, node_id: str) -> str:
        """The site of a node.

        Raises:
            UnknownNode
        """
        return (await self._nodes.get(node_id)).site

    async def difference(self, site_name: str, before: int, after: int) -> Difference:
        """What two versions of a site have different.

        Raises:
            UnknownSite, UnknownPolicyVersion
        """
        old = await self._policies.document(site_name, before)
        new = await self._policies.document(site_name, after)
        return await _different(old, new, f"{site_name} {before}", f"{site_name} {after}")

    async def layer_difference(self, scope: str, before: int, after: int) -> Difference:
        """What two versions of a layer have different.

        Raises:
            UnknownPolicyVersion
        """
        async with self._database.snapshot() as session:
            rows = [await repository.layer(session, scope, version) for version in (before, after)]
        old, new = rows
        if old is None or new is None:
            raise UnknownPolicyVersion
        return await _different(old.document, new.document, f"{scope} {before}", f"{scope} {after}")

    async def drift(self, *, scope: Scope, site: str | None = None) -> Sequence[Drift]:
        """Every node that does not run what it shall, and every site that shall not run what its layers say.

        Raises:
            UnknownSite
        """
        async with self._database.snapshot() as session:
            if site is not None:
                sites: Sequence[SiteFacts] = [await self._sites.require(session, site, scope=scope)]
            else:
                sites = await self._sites.list_in(session, after="", limit=100_000, scope=scope)
            found = await self._layers_drift(session, sites)
            found += await self._nodes_drift(session, sites)
        return sorted(found, key=lambda one: (one.site, one.node_id))

    async def _layers_drift(self, session: AsyncSession, sites: Sequence[SiteFacts]) -> list[Drift]:
        renderer = Renderer(await book_of(session), checked=False)
        governed = [one for one in sites if renderer.book.governs(one)]
        ids = [one.id for one in governed]
        wanted = await self._policies.wanted(session, ids)
        since = await repository.published_at(session, ids)
        found = []
        for site in governed:
            _, digest = await asyncio.to_thread(renderer.of, site)
            place = wanted.get(site.id)
            if place is None or place[1] != digest:
                found.append(Drift.of_layers(site.name, digest, place, since.get(site.id)))
        return found

    async def _nodes_drift(self, session: AsyncSession, sites: Sequence[SiteFacts]) -> list[Drift]:
        ids = [one.id for one in sites]
        wanted, own = await self._policies.wanted(session, ids), await self._policies.assigned(session, ids)
        published, assigned = await repository.published_at(session, ids), await repository.assigned_at(session, ids)
        said = await repository.answers(session, ids)
        by_name = {one.name: one for one in sites}
        now, found = self._clock(), []
        for node in await self._nodes.of_sites(session, sites):
            site_id = by_name[node.site].id
            place = own.get(node.id) or wanted.get(site_id)
            if place is None:
                continue
            answer = said.get((node.id, *place[0]))
            standing = Standing(
                place=place[0],
                sha256=place[1],
                since=assigned.get(node.id) if node.id in own else published.get(site_id),
                answer=(answer.state, answer.error, answer.answered_at) if answer is not None else None,
            )
            drift = drift_of(node, standing, now)
            if drift is not None:
                found.append(drift)
        return found


async def _different(old: bytes, new: bytes, before: str, after: str) -> Difference:
    found = await asyncio.to_thread(changes, old, new)
    return Difference(before=before, after=after, changes=tuple(found), text=line_changes(old, new, before, after))


def _effective(
    site: SiteFacts,
    node_id: str,
    document: bytes,
    origins: tuple[Origin, ...],
    layers: tuple[str, ...],
    standing: tuple[tuple[int, int], bytes] | None,
    *,
    published: bool,
) -> EffectiveFacts:
    return EffectiveFacts(
        site=site.name,
        node_id=node_id,
        document=document,
        origins=origins,
        layers=layers,
        place=standing[0] if standing is not None else None,
        published=published,
    )
