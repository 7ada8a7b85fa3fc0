"""Every query of figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import upsert
from control.figures.models import NodeFigures


async def keep(tx: AsyncSession, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put these in the place of those before, together; an older word never replaces a newer one."""
    table = NodeFigures.__table__
    assert isinstance(table, Table)
    newest = {(str(row["node_id"]), str(row["source"])): row for row in rows}
    await upsert(tx, table, newest.values(), lambda _here, new: {"site": new.site, "at": new.at, "lines": new.lines})


async def since(
    session: AsyncSession, *, after: datetime, sites: Collection[str] | None, site: str | None
) -> Sequence[str]:
    """The lines of the nodes that reported after a moment, by node."""
    query = select(NodeFigures.lines).where(NodeFigures.at > after).order_by(NodeFigures.node_id, NodeFigures.source)
    if sites is not None:
        query = query.where(NodeFigures.site.in_(sites))
    if site is not None:
        query = query.where(NodeFigures.site == site)
    return (await session.scalars(query)).all()
