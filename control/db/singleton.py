"""One of several replicas does it: an advisory lock on PostgreSQL; SQLite has one process only."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ROLLOUT_LOCK = 0x524F4C4C
FORGETTING_LOCK = 0x464F5247


async def alone(tx: AsyncSession, key: int) -> bool:
    """Whether nobody else does it now, and nobody will until this transaction ends."""
    if tx.get_bind().dialect.name != "postgresql":
        return True
    return bool(await tx.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}))
