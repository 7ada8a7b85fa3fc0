"""Giving a site and its nodes what their layers say, through the same publication as ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control.nodes.reports import NodeFacts
from control.policies.service import PolicyService
from control.scopes.book import Renderer
from control.sites.service import SiteFacts


async def apply_to(
    tx: AsyncSession,
    policies: PolicyService,
    renderer: Renderer,
    site: SiteFacts,
    nodes: Sequence[NodeFacts],
    *,
    by: str,
    at: datetime,
) -> list[str]:
    """Publish to a locked site, and to those of its nodes that have a layer; gives whom another text was given.

    Raises:
        PolicyHeld: a roll-out decides what the site runs, and it would change.
    """
    assigning = policies.assigning
    effective, digest = renderer.of(site)
    wanted = (await policies.wanted(tx, [site.id])).get(site.id)
    own = {key: told for key, (_, told) in (await policies.assigned(tx, [site.id])).items()}
    changed: list[str] = []
    if wanted is None or wanted[1] != digest:
        await assigning.free(tx, site.id)
        row = await assigning.keep(tx, site, effective.document, actor=by)
        await assigning.settle(tx, site, row, actor=by)
        changed.append(site.name)
        own = {}  # with the site's, all nodes got that
    for node in nodes:
        effective, wanted_digest = renderer.of(site, node.id)
        if own.get(node.id, digest) == wanted_digest:
            continue
        await assigning.free(tx, site.id)
        row = await assigning.keep(tx, site, effective.document, actor=by)
        place = await assigning.next(tx, site.id, row.version)
        await assigning.assign(tx, site, row, place, [node.id], by=by, at=at)
        changed.append(f"node/{node.id}")
    return changed
