"""Every query of commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.node_commands.board import Place
from control.node_commands.models import NodeCommand
from control.node_commands.states import OPEN, CommandState


def add(tx: AsyncSession, row: NodeCommand) -> None:
    """A new command."""
    tx.add(row)


async def by_id(session: AsyncSession, command_id: str, *, lock: bool = False) -> NodeCommand | None:
    """One command; with `lock`, held until the transaction ends."""
    query = select(NodeCommand).where(NodeCommand.id == command_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def open_of(session: AsyncSession, node_id: str, *, now: datetime, limit: int) -> Sequence[NodeCommand]:
    """What the node has not told the end of and may still do, the oldest first."""
    query = (
        select(NodeCommand)
        .where(NodeCommand.node_id == node_id, NodeCommand.state.in_(OPEN), NodeCommand.expires_at > now)
        .order_by(NodeCommand.asked_at, NodeCommand.id)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def newest_of_kind(session: AsyncSession, *, site: str, kind: str, limit: int) -> Sequence[NodeCommand]:
    """Commands of one kind at a site, from the newest back."""
    query = select(NodeCommand).where(NodeCommand.site == site, NodeCommand.kind == kind)
    return (
        await session.scalars(query.order_by(NodeCommand.asked_at.desc(), NodeCommand.id.desc()).limit(limit))
    ).all()


async def waiting(session: AsyncSession, *, now: datetime) -> Mapping[Place, datetime]:
    """The nodes that have something to take, and when the newest of it was asked."""
    query = (
        select(NodeCommand.site, NodeCommand.node_id, func.max(NodeCommand.asked_at))
        .where(NodeCommand.state == CommandState.REQUESTED, NodeCommand.expires_at > now)
        .group_by(NodeCommand.site, NodeCommand.node_id)
    )
    return {(site, node_id): asked_at for site, node_id, asked_at in await session.execute(query)}


async def overdue(session: AsyncSession, *, now: datetime) -> bool:
    """Whether there is something whose time is over and that nobody took."""
    query = (
        select(NodeCommand.id)
        .where(NodeCommand.state == CommandState.REQUESTED, NodeCommand.expires_at <= now)
        .limit(1)
    )
    return await session.scalar(query) is not None


async def expire(tx: AsyncSession, *, now: datetime) -> None:
    """What nobody took in its time is taken by nobody any more."""
    late = (NodeCommand.state == CommandState.REQUESTED, NodeCommand.expires_at <= now)
    await tx.execute(update(NodeCommand).where(*late).values(state=CommandState.EXPIRED, ended_at=now))


async def newest(
    session: AsyncSession,
    *,
    sites: Collection[str] | None,
    site: str | None,
    node_id: str | None,
    state: CommandState | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[NodeCommand]:
    """Commands that fit, from the newest back."""
    query = select(NodeCommand).order_by(NodeCommand.asked_at.desc(), NodeCommand.id.desc()).limit(limit)
    if sites is not None:
        query = query.where(NodeCommand.site.in_(sites))
    if site is not None:
        query = query.where(NodeCommand.site == site)
    if node_id is not None:
        query = query.where(NodeCommand.node_id == node_id)
    if state is not None:
        query = query.where(NodeCommand.state == state)
    if before is not None:
        at, command_id = before
        older = NodeCommand.asked_at < at
        query = query.where(or_(older, and_(NodeCommand.asked_at == at, NodeCommand.id < command_id)))
    return (await session.scalars(query)).all()
