"""Every query of what single nodes shall run, and of who holds a site's policies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.base import EPOCH
from control.db.upsert import Assignments, Columns, Row, upsert
from control.policies.board import Place
from control.policies.models import PolicyActive, PolicyAssignment, PolicyHold, PolicyRevision

TABLE: Table = PolicyAssignment.metadata.tables[PolicyAssignment.__tablename__]


async def assign(tx: AsyncSession, rows: Iterable[Row]) -> None:
    """Let nodes run something of their own, instead of what was assigned before."""
    await upsert(tx, TABLE, rows, _replaced)


async def forget(tx: AsyncSession, site_id: int) -> None:
    """Let all nodes of a site run what the site runs."""
    await tx.execute(delete(PolicyAssignment).where(PolicyAssignment.site_id == site_id))


async def of_node(session: AsyncSession, node_id: str) -> Place | None:
    """What one node shall run instead of what its site runs."""
    row = await session.get(PolicyAssignment, node_id)
    return (row.generation, row.version) if row is not None else None


async def of_all(session: AsyncSession) -> dict[str, tuple[int, Place]]:
    """Node id -> (site, place), of all nodes with something of their own: what the board reads every second."""
    query = select(
        PolicyAssignment.node_id, PolicyAssignment.site_id, PolicyAssignment.generation, PolicyAssignment.version
    )
    rows = await session.execute(query)
    return {node_id: (site_id, (generation, version)) for node_id, site_id, generation, version in rows}


async def of_sites(session: AsyncSession, site_ids: Collection[int]) -> dict[str, tuple[Place, bytes]]:
    """Node id -> (place, SHA-256 of the text), of the nodes of some sites that have something of their own."""
    query = (
        select(PolicyAssignment.node_id, PolicyAssignment.generation, PolicyAssignment.version, PolicyRevision.sha256)
        .join(PolicyRevision, _same_text(PolicyAssignment))
        .where(PolicyAssignment.site_id.in_(site_ids))
    )
    rows = await session.execute(query)
    return {node_id: ((generation, version), sha256) for node_id, generation, version, sha256 in rows}


async def furthest(session: AsyncSession, site_id: int) -> Place | None:
    """The latest place that a node of the site was given of its own."""
    query = (
        select(PolicyAssignment.generation, PolicyAssignment.version)
        .where(PolicyAssignment.site_id == site_id)
        .order_by(PolicyAssignment.generation.desc(), PolicyAssignment.version.desc())
        .limit(1)
    )
    row = (await session.execute(query)).first()
    return (row.generation, row.version) if row is not None else None


async def signed(session: AsyncSession, site_id: int, place: Place) -> tuple[bytes, int] | None:
    """The signature with which a site or a node of it shall run this place, and the number of the offer; or None."""
    active, assigned = PolicyActive, PolicyAssignment
    queries = (
        select(active.signature, active.published_at).where(
            active.site_id == site_id, active.generation == place[0], active.version == place[1]
        ),
        select(assigned.signature, assigned.assigned_at)
        .where(assigned.site_id == site_id, assigned.generation == place[0], assigned.version == place[1])
        .order_by(assigned.assigned_at.desc()),
    )
    for query in queries:
        found = (await session.execute(query.limit(1))).first()
        if found is not None:
            return found[0], (found[1] - EPOCH) // timedelta(microseconds=1)
    return None


async def holder(session: AsyncSession, site_id: int) -> str | None:
    """The roll-out that decides what this site runs."""
    row = await session.get(PolicyHold, site_id)
    return row.rollout_id if row is not None else None


async def hold(tx: AsyncSession, site_id: int, rollout_id: str) -> None:
    """Let a roll-out decide, and nobody else. Lock the site first."""
    tx.add(PolicyHold(site_id=site_id, rollout_id=rollout_id))
    await tx.flush()


async def release(tx: AsyncSession, rollout_id: str) -> None:
    """Let people decide again."""
    await tx.execute(delete(PolicyHold).where(PolicyHold.rollout_id == rollout_id))


def _same_text(table: type[PolicyAssignment]) -> ColumnElement[bool]:
    return (PolicyRevision.site_id == table.site_id) & (PolicyRevision.version == table.version)


def _replaced(_standing: Columns, coming: Columns) -> Assignments:
    names: Sequence[str] = [column.name for column in TABLE.columns if not column.primary_key]
    return {name: coming[name] for name in names}
