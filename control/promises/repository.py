"""Every query of kept answers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.promises.models import KeptAnswer


def add(tx: AsyncSession, row: KeptAnswer) -> None:
    """A request that begins."""
    tx.add(row)


async def by_id(session: AsyncSession, row_id: str) -> KeptAnswer | None:
    """The request of this id."""
    return await session.scalar(select(KeptAnswer).where(KeptAnswer.id == row_id))


async def seal(tx: AsyncSession, row_id: str, sealed: bytes) -> None:
    """Keep the answer of a request."""
    await tx.execute(update(KeptAnswer).where(KeptAnswer.id == row_id).values(sealed=sealed))


async def forget(tx: AsyncSession, row_id: str) -> None:
    """Forget a request that changed nothing: it can come again."""
    await tx.execute(delete(KeptAnswer).where(KeptAnswer.id == row_id))


async def forget_old(tx: AsyncSession, before: datetime) -> None:
    """Forget what nobody asks for again."""
    await tx.execute(delete(KeptAnswer).where(KeptAnswer.begun_at < before))
