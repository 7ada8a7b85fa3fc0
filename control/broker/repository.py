"""Every query of presence."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control.broker.models import NodePresence


async def of_node(session: AsyncSession, node_id: str) -> NodePresence | None:
    """What the broker last said of a node."""
    return await session.get(NodePresence, node_id)


async def of_nodes(session: AsyncSession, node_ids: Sequence[str]) -> Sequence[NodePresence]:
    """What the broker last said of these nodes."""
    return (await session.scalars(select(NodePresence).where(NodePresence.node_id.in_(node_ids)))).all()


def add(session: AsyncSession, presence: NodePresence) -> None:
    """Keep the first word about a node."""
    session.add(presence)
