"""Every query of the cursors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Table, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import Assignments, Columns, Rows, insert_missing, upsert
from control.inbox.batch import Batch
from control.inbox.models import NodeCursor

CURSOR = cast("Table", NodeCursor.__table__)
COLUMNS = ("node_id", "epoch", "site", "ack_sequence", "boot_id", "pushed_at")


async def lock_cursors(session: AsyncSession, batches: Sequence[Batch], now: datetime) -> Sequence[int]:
    """The ack of each batch's node and epoch, held to the transaction's end; new ones are made. Each comes once."""
    fresh = [(one.sender.node_id, one.epoch, one.sender.site, 0, "", now) for one in batches]
    await insert_missing(session, CURSOR, Rows(COLUMNS, fresh))
    keys = [(one.sender.node_id, one.epoch) for one in batches]
    found = await session.execute(
        select(NodeCursor.node_id, NodeCursor.epoch, NodeCursor.ack_sequence)
        .where(tuple_(NodeCursor.node_id, NodeCursor.epoch).in_(keys))
        .order_by(NodeCursor.node_id, NodeCursor.epoch)
        .with_for_update()
    )
    acks = {(node_id, epoch): ack for node_id, epoch, ack in found}
    return [acks[key] for key in keys]


async def move_cursors(session: AsyncSession, batches: Sequence[Batch], acks: Sequence[int], now: datetime) -> None:
    """Every event up to these is applied when the transaction commits."""
    moved = [
        (one.sender.node_id, one.epoch, one.sender.site, ack, one.boot_id, now)
        for one, ack in zip(batches, acks, strict=True)
    ]
    await upsert(session, CURSOR, Rows(COLUMNS, moved), _replace)


def _replace(_stands: Columns, comes: Columns) -> Assignments:
    return {name: comes[name] for name in ("ack_sequence", "boot_id", "pushed_at")}
