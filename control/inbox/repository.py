"""Every query of the cursors."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import insert_missing
from control.inbox.models import NodeCursor


async def lock_cursor(session: AsyncSession, *, node_id: str, epoch: str, site: str, now: datetime) -> NodeCursor:
    """The cursor of this node and epoch, made when it is new, held until the transaction ends."""
    fresh = {
        "node_id": node_id, "epoch": epoch, "site": site, "ack_sequence": 0, "boot_id": "", "pushed_at": now
    }  # fmt: skip
    await insert_missing(session, cast("Table", NodeCursor.__table__), [fresh])
    found = await session.execute(
        select(NodeCursor).where(NodeCursor.node_id == node_id, NodeCursor.epoch == epoch).with_for_update()
    )
    return found.scalar_one()
