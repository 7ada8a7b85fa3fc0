"""Every query of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.chain import AuditEntry
from control.audit.models import AuditHead, AuditRow
from control.audit.query import AuditQuery


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
            site=entry.site,
            before=dict(entry.before) if entry.before is not None else None,
            after=dict(entry.after) if entry.after is not None else None,
            previous_hash=entry.previous_hash,
            hash=entry.hash,
        )
    )
    head.sequence, head.hash = entry.sequence, entry.hash


async def newest(session: AsyncSession, query: AuditQuery, *, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """Rows that fit, from the newest to older ones."""
    rows = select(AuditRow).where(*_conditions(query)).order_by(AuditRow.sequence.desc()).limit(limit)
    if before is not None:
        rows = rows.where(AuditRow.sequence < before)
    return [_entry(row) for row in await session.scalars(rows)]


def _conditions(query: AuditQuery) -> Iterator[ColumnElement[bool]]:
    if query.within is not None:
        yield AuditRow.site.in_(sorted(query.within))
    for column, wanted in (
        (AuditRow.actor, query.actor),
        (AuditRow.action, query.action),
        (AuditRow.object, query.object),
        (AuditRow.site, query.site),
    ):
        if wanted is not None and wanted.endswith("*"):
            yield column.startswith(wanted.removesuffix("*"), autoescape=True)
        elif wanted is not None:
            yield column == wanted
    if query.since is not None:
        yield AuditRow.at >= query.since
    if query.until is not None:
        yield AuditRow.at < query.until


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
        site=row.site,
        before=row.before,
        after=row.after,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
