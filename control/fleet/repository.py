"""Reads over the tables of sites and nodes that no single slice answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.nodes.models import Node
from control.sites.models import Site


class SiteWord(NamedTuple):
    """The age of what we know of a site."""

    site: str
    nodes: int
    silent_nodes: int
    last_contact_at: datetime | None


async def site_words(session: AsyncSession, *, silent_before: datetime) -> Sequence[SiteWord]:
    """Every site by name, also one without nodes, with the newest word of its nodes that were not revoked."""
    silent = case((Node.id.is_(None), 0), (Node.last_contact_at >= silent_before, 0), else_=1)
    found = await session.execute(
        select(Site.name, func.count(Node.id), func.coalesce(func.sum(silent), 0), func.max(Node.last_contact_at))
        .outerjoin(Node, (Node.site_id == Site.id) & Node.revoked_at.is_(None))
        .group_by(Site.name)
        .order_by(Site.name)
    )
    return [SiteWord(name, nodes, silent_nodes, at) for name, nodes, silent_nodes, at in found]


async def living_sites(session: AsyncSession, node_ids: Sequence[str]) -> dict[str, str]:
    """The sites of those of these nodes that are enrolled and were not revoked."""
    of_nodes = select(Node.id, Site.name).join(Site, Node.site_id == Site.id)
    return dict(iter(await session.execute(of_nodes.where(Node.id.in_(node_ids), Node.revoked_at.is_(None)))))


async def node_names(session: AsyncSession, node_ids: Sequence[str]) -> dict[str, str]:
    """What people call these nodes, also revoked ones."""
    found = await session.execute(select(Node.id, Node.name).where(Node.id.in_(node_ids)))
    return dict(iter(found))
