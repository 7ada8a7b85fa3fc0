"""Every query of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Select, Table, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import Assignments, Columns, upsert
from control.nodes.clones import Boot, BootHistory
from control.nodes.models import Node, NodeReport
from control.nodes.reports import StatusReport
from control.sites.models import Site


@dataclass(frozen=True, slots=True)
class Standing:
    """A node as the door looks at it."""

    node_id: str
    name: str
    site_id: int
    site: str
    revoked_at: datetime | None
    last_contact_at: datetime | None


def add(tx: AsyncSession, node: Node) -> None:
    """A new node."""
    tx.add(node)


async def by_id(session: AsyncSession, node_id: str, *, lock: bool = False) -> Node | None:
    """The node with this id; with `lock`, held until the transaction ends."""
    query = select(Node).where(Node.id == node_id)
    return await session.scalar(query.with_for_update() if lock else query)


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


async def standing(session: AsyncSession, node_ids: Sequence[str]) -> dict[str, Standing]:
    """What is known of these nodes, of those that exist."""
    query = select(Node.id, Node.name, Node.site_id, Site.name, Node.revoked_at, Node.last_contact_at)
    rows = await session.execute(query.join(Site, Site.id == Node.site_id).where(Node.id.in_(node_ids)))
    return {row[0]: Standing(*row) for row in rows}


async def lock_living(tx: AsyncSession, node_ids: Sequence[str]) -> set[str]:
    """Those of the nodes that were not revoked: held, in the order of their ids, until the transaction ends."""
    query = select(Node.id).where(Node.id.in_(node_ids), Node.revoked_at.is_(None)).order_by(Node.id)
    return set((await tx.scalars(query.with_for_update(key_share=True))).all())


async def lock_site(tx: AsyncSession, site_id: int) -> None:
    """Hold the nodes of a site until the transaction ends: who decides about them together waits for the other one."""
    query = select(Node.id).where(Node.site_id == site_id).order_by(Node.id)
    (await tx.scalars(query.with_for_update(key_share=True))).all()


async def memories(session: AsyncSession, node_ids: Sequence[str]) -> dict[str, tuple[tuple[Boot, ...], bool]]:
    """The boot ids that the reports of these nodes remember, and whether a clone was suspected."""
    query = select(NodeReport.node_id, NodeReport.recent_boots, NodeReport.clone_suspected)
    rows = await session.execute(query.where(NodeReport.node_id.in_(node_ids)))
    return {node_id: (_boots(boots), suspected) for node_id, boots, suspected in rows}


async def store_reports(
    tx: AsyncSession, reports: Mapping[str, tuple[StatusReport, BootHistory]], *, at: datetime
) -> None:
    """Put these reports in the place of those before, by node id."""
    rows = [
        {
            "node_id": node_id,
            "reported_at": at,
            "recent_boots": [{"boot_id": boot.boot_id, "at": boot.at.isoformat()} for boot in boots.boots],
            "clone_suspected": boots.clone_suspected,
            **_columns(report),
        }
        for node_id, (report, boots) in reports.items()
    ]
    await upsert(tx, cast("Table", NodeReport.__table__), rows, _the_new_one)


def _the_new_one(_stands: Columns, comes: Columns) -> Assignments:
    return {column.name: column for column in comes if column.name != "node_id"}


def _boots(kept: Sequence[Mapping[str, str]]) -> tuple[Boot, ...]:
    return tuple(Boot(boot_id=one["boot_id"], at=datetime.fromisoformat(one["at"])) for one in kept)


def _columns(report: StatusReport) -> dict[str, object]:
    columns: dict[str, object] = {
        name: getattr(report, name)
        for name in StatusReport.__dataclass_fields__
        if name not in {"active", "attempt", "attempt_offer", "conditions"}
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
