"""Every query of sites."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control.sites.models import Site


async def by_name(session: AsyncSession, name: str, *, lock: bool = False) -> Site | None:
    """The site of this name; with `lock`, held until the transaction ends."""
    query = select(Site).where(Site.name == name)
    # Not against rows that name the site: a node's report must never wait for a publication.
    return await session.scalar(query.with_for_update(key_share=True) if lock else query)


async def by_id(session: AsyncSession, site_id: int) -> Site:
    """The site that a foreign key names."""
    return await session.get_one(Site, site_id)


async def add(tx: AsyncSession, *, name: str, created_at: datetime) -> Site:
    """A new site."""
    site = Site(name=name, created_at=created_at)
    tx.add(site)
    await tx.flush()
    return site


async def after_name(
    session: AsyncSession, *, after: str, limit: int, scope: frozenset[str] | None = None
) -> Sequence[Site]:
    """Sites by name; those of a scope when there is one."""
    query = select(Site).where(Site.name > after).order_by(Site.name).limit(limit)
    if scope is not None:
        query = query.where(Site.name.in_(sorted(scope)))
    return (await session.scalars(query)).all()


async def names(session: AsyncSession, *, only: int | None = None) -> dict[int, str]:
    """The name of every site by its id, or of one."""
    query = select(Site.id, Site.name)
    rows = await session.execute(query if only is None else query.where(Site.id == only))
    return {row.id: row.name for row in rows}
