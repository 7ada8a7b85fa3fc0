"""Every query of the live feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import insert_missing
from control.live.models import LiveCounter, LiveEvent
from control.live.news import News

ONLY_ROW = 1


async def append(session: AsyncSession, news: Sequence[News], now: datetime) -> int:
    """Add lines and give the newest sequence. Other writers wait until the caller's transaction ends."""
    await insert_missing(session, cast("Table", LiveCounter.__table__), [{"id": ONLY_ROW, "newest": 0}])
    counted = await session.execute(
        update(LiveCounter)
        .where(LiveCounter.id == ONLY_ROW)
        .values(newest=LiveCounter.newest + len(news))
        .returning(LiveCounter.newest)
        .execution_options(synchronize_session=False)
    )
    newest: int = counted.scalar_one()
    first = newest - len(news) + 1
    rows = [
        {"sequence": first + place, "at": now, "kind": one.kind, "body": dict(one.body)}
        for place, one in enumerate(news)
    ]
    await session.execute(insert(LiveEvent), rows)
    return newest


async def newest(session: AsyncSession) -> int:
    """The sequence of the newest line, 0 before the first."""
    found = await session.scalar(select(LiveCounter.newest).where(LiveCounter.id == ONLY_ROW))
    return found or 0


async def oldest_kept(session: AsyncSession) -> int | None:
    """The sequence of the oldest line that is still there."""
    return await session.scalar(select(func.min(LiveEvent.sequence)))


async def after(
    session: AsyncSession, sequence: int, limit: int, scope: frozenset[str] | None = None
) -> Sequence[LiveEvent]:
    """The lines behind this one, in order; those of some sites when there is a scope."""
    query = select(LiveEvent).where(LiveEvent.sequence > sequence).order_by(LiveEvent.sequence).limit(limit)
    if scope is not None:
        query = query.where(LiveEvent.body["site"].as_string().in_(sorted(scope)))
    return (await session.scalars(query)).all()


async def forget(session: AsyncSession, before: datetime) -> None:
    """Remove the lines from before this moment."""
    await session.execute(delete(LiveEvent).where(LiveEvent.at < before))
