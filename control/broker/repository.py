"""Every query of presence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.broker.models import NodePresence
from control.broker.nudges import Presence
from control.db.upsert import Assignments, Columns, upsert
from mesh.topics import NodePlace


async def of_nodes(session: AsyncSession, node_ids: Sequence[str]) -> Sequence[NodePresence]:
    """What the broker last said of these nodes."""
    return (await session.scalars(select(NodePresence).where(NodePresence.node_id.in_(node_ids)))).all()


async def keep(tx: AsyncSession, presences: Mapping[NodePlace, Presence], *, at: datetime) -> None:
    """Put the broker's words on these nodes in the place of those before."""
    rows = [
        {"node_id": place.node_id, "site": place.site, "state": said.state, "boot_id": said.boot_id, "heard_at": at}
        for place, said in presences.items()
    ]
    await upsert(tx, cast("Table", NodePresence.__table__), rows, _the_new_one)


def _the_new_one(_stands: Columns, comes: Columns) -> Assignments:
    return {column.name: column for column in comes if column.name != "node_id"}
