"""Every query of the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.chain import AuditEntry
from control.audit.models import AuditHead, AuditRow


async def lock_head(tx: AsyncSession) -> AuditHead:
    """The end of the chain, held until the transaction ends. The migration made its row."""
    return (await tx.scalars(select(AuditHead).with_for_update())).one()


def append(tx: AsyncSession, head: AuditHead, entry: AuditEntry) -> None:
    """Add a row and move the head to it."""
    tx.add(
        AuditRow(
            sequence=entry.sequence,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            object=entry.object,
            before=dict(entry.before) if entry.before is not None else None,
            after=dict(entry.after) if entry.after is not None else None,
            previous_hash=entry.previous_hash,
            hash=entry.hash,
        )
    )
    head.sequence, head.hash = entry.sequence, entry.hash


async def newest(session: AsyncSession, *, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """Rows from the newest to older ones."""
    query = select(AuditRow).order_by(AuditRow.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.sequence < before)
    return [_entry(row) for row in await session.scalars(query)]


async def oldest(session: AsyncSession, *, after: int, limit: int) -> Sequence[AuditEntry]:
    """Rows from the oldest to newer ones."""
    query = select(AuditRow).where(AuditRow.sequence > after).order_by(AuditRow.sequence).limit(limit)
    return [_entry(row) for row in await session.scalars(query)]


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        sequence=row.sequence,
        at=row.at,
        actor=row.actor,
        action=row.action,
        object=row.object,
        before=row.before,
        after=row.after,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
