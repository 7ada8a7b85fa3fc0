"""Every query of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.nodes.clones import Boot, BootHistory
from control.nodes.models import Node, NodeReport
from control.nodes.reports import StatusReport


def add(tx: AsyncSession, node: Node) -> None:
    """A new node."""
    tx.add(node)


async def by_id(session: AsyncSession, node_id: str, *, lock: bool = False) -> Node | None:
    """The node with this id; with `lock`, held until the transaction ends."""
    query = select(Node).where(Node.id == node_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def touch(tx: AsyncSession, node_id: str, at: datetime) -> None:
    """Note that a node spoke."""
    await tx.execute(update(Node).where(Node.id == node_id).values(last_contact_at=at))


async def touch_all(tx: AsyncSession, contacts: Mapping[str, datetime]) -> None:
    """Note when these nodes spoke, together and in the order of their ids."""
    statement = update(Node).where(Node.id == bindparam("node")).values(last_contact_at=bindparam("at"))
    rows = [{"node": node_id, "at": at} for node_id, at in sorted(contacts.items())]
    await (await tx.connection()).execute(statement, rows)


async def after_id(
    session: AsyncSession, *, site_ids: Sequence[int] | None, after: str, limit: int
) -> Sequence[tuple[Node, NodeReport | None]]:
    """Nodes with their newest report, by id."""
    query = _with_report().where(Node.id > after).order_by(Node.id).limit(limit)
    if site_ids is not None:
        query = query.where(Node.site_id.in_(site_ids))
    return [(node, report) for node, report in (await session.execute(query))]


async def of_sites(session: AsyncSession, site_ids: Sequence[int]) -> Sequence[tuple[Node, NodeReport | None]]:
    """All nodes of some sites that were not revoked, by name."""
    query = _with_report().where(Node.site_id.in_(site_ids), Node.revoked_at.is_(None)).order_by(Node.name)
    return [(node, report) for node, report in (await session.execute(query))]


async def with_report(session: AsyncSession, node_id: str) -> tuple[Node, NodeReport | None] | None:
    """One node with its newest report."""
    row = (await session.execute(_with_report().where(Node.id == node_id))).first()
    return (row[0], row[1]) if row is not None else None


async def report_of(session: AsyncSession, node_id: str) -> NodeReport | None:
    """The newest report of a node."""
    return await session.get(NodeReport, node_id)


def store_report(
    tx: AsyncSession,
    row: NodeReport | None,
    *,
    node_id: str,
    report: StatusReport,
    boots: BootHistory,
    at: datetime,
) -> None:
    """Put a report in the place of the one before."""
    if row is None:
        row = NodeReport(node_id=node_id)
        tx.add(row)
    for name, value in _columns(report).items():
        setattr(row, name, value)
    row.reported_at = at
    row.recent_boots = [{"boot_id": boot.boot_id, "at": boot.at.isoformat()} for boot in boots.boots]
    row.clone_suspected = boots.clone_suspected


def boots_of(row: NodeReport | None) -> tuple[Boot, ...]:
    """The boot ids that a report row remembers."""
    if row is None:
        return ()
    return tuple(Boot(boot_id=one["boot_id"], at=datetime.fromisoformat(one["at"])) for one in row.recent_boots)


def _columns(report: StatusReport) -> dict[str, object]:
    columns: dict[str, object] = {
        name: getattr(report, name)
        for name in StatusReport.__dataclass_fields__
        if name not in {"active", "attempt", "conditions"}
    }
    return columns | {
        "conditions": [asdict(one) for one in report.conditions],
        "active_generation": report.active.generation,
        "active_version": report.active.version,
        "attempt_generation": report.attempt.generation,
        "attempt_version": report.attempt.version,
    }


def _with_report() -> Select[Node, NodeReport | None]:
    return select(Node, NodeReport).outerjoin(NodeReport, NodeReport.node_id == Node.id)
