"""Every query of pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control.pools.models import PoolManager, PoolOrder, PoolWord


async def order(session: AsyncSession, site_id: int, *, lock: bool = False) -> PoolOrder | None:
    """The site's order."""
    query = select(PoolOrder).where(PoolOrder.site_id == site_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def keep_order(tx: AsyncSession, site_id: int, number: int, sha256: str) -> None:
    """Another order for other pools."""
    await tx.merge(PoolOrder(site_id=site_id, number=number, sha256=sha256))
    await tx.flush()


async def words(session: AsyncSession, site_ids: Sequence[int]) -> Sequence[PoolWord]:
    """What was said of the nodes of some sites."""
    return (await session.scalars(select(PoolWord).where(PoolWord.site_id.in_(site_ids)))).all()


async def keep_word(tx: AsyncSession, row: PoolWord) -> None:
    """Say it, in place of what was said before."""
    await tx.merge(row)
    await tx.flush()


async def managers(session: AsyncSession, site_ids: Sequence[int]) -> Sequence[PoolManager]:
    """What managers of some sites last reported."""
    query = select(PoolManager).where(PoolManager.site_id.in_(site_ids)).order_by(PoolManager.node_id)
    return (await session.scalars(query)).all()


async def manager(session: AsyncSession, node_id: str) -> PoolManager | None:
    """What one last reported."""
    return await session.get(PoolManager, node_id)


async def keep_report(tx: AsyncSession, node_id: str, site_id: int, report: Mapping[str, Any], at: datetime) -> None:
    """The newest takes the place of the one before."""
    await tx.merge(PoolManager(node_id=node_id, site_id=site_id, heard_at=at, report=dict(report)))
    await tx.flush()
