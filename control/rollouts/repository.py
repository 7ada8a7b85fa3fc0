"""Every query of roll-outs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.figures.models import NodeFigures
from control.nodes.models import Node, NodeReport
from control.policies.models import PolicyAnswer
from control.rollouts.counters import Counters, grown, read_counters
from control.rollouts.gates import NodeWord
from control.rollouts.models import Rollout, RolloutNode, RolloutSite, RolloutStep
from control.rollouts.states import LIVE
from control.sites.models import Site

GIVEN_UP = ("parked", "quarantined", "unrouted")
"""Of what a node counts under the policy that it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """A site of a roll-out with its name."""

    site_id: int
    site: str
    generation: int
    version: int
    before_version: int
    back_generation: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node of a roll-out: what is stored of it here, and what it last said."""

    site_id: int
    word: NodeWord
    reason: str
    waiting: int
    parked: int
    counters: Counters


def add(tx: AsyncSession, *rows: Rollout | RolloutSite | RolloutNode | RolloutStep) -> None:
    """New rows."""
    tx.add_all(rows)


async def by_id(session: AsyncSession, rollout_id: str, *, lock: bool = False) -> Rollout | None:
    """One roll-out; with `lock`, held until the transaction ends."""
    query = select(Rollout).where(Rollout.id == rollout_id)
    return await session.scalar(query.with_for_update(key_share=True) if lock else query)


async def live_ids(session: AsyncSession) -> Sequence[str]:
    """The roll-outs that have not ended, the oldest first."""
    query = select(Rollout.id).where(Rollout.state.in_(LIVE)).order_by(Rollout.started_at, Rollout.id)
    return (await session.scalars(query)).all()


async def newest(
    session: AsyncSession,
    *,
    sites: Collection[str] | None,
    site: str | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[Rollout]:
    """Roll-outs with a site that fits, from the newest back."""
    query = select(Rollout).order_by(Rollout.started_at.desc(), Rollout.id.desc()).limit(limit)
    for names in (sites, None if site is None else (site,)):
        if names is not None:
            query = query.where(_touches(names))
    if before is not None:
        at, rollout_id = before
        query = query.where(or_(Rollout.started_at < at, and_(Rollout.started_at == at, Rollout.id < rollout_id)))
    return (await session.scalars(query)).all()


def _touches(names: Collection[str]) -> ColumnElement[bool]:
    return exists().where(RolloutSite.rollout_id == Rollout.id, Site.id == RolloutSite.site_id, Site.name.in_(names))


async def move(tx: AsyncSession, rollout_id: str, *, turn: int, values: Mapping[str, Any]) -> bool:
    """Raise the turn and set the values, when the turn still is this one: whoever may, takes the step."""
    statement = update(Rollout).where(Rollout.id == rollout_id, Rollout.turn == turn)
    done = await (await tx.connection()).execute(statement.values(turn=turn + 1, **values))
    return done.rowcount == 1


async def sites_of(session: AsyncSession, rollout_id: str) -> Sequence[SiteRow]:
    """The sites of a roll-out by name."""
    query = (
        select(RolloutSite, Site.name)
        .join(Site, Site.id == RolloutSite.site_id)
        .where(RolloutSite.rollout_id == rollout_id)
        .order_by(Site.name)
        .execution_options(populate_existing=True)
    )
    return [
        SiteRow(
            site_id=row.site_id,
            site=name,
            generation=row.generation,
            version=row.version,
            before_version=row.before_version,
            back_generation=row.back_generation,
        )
        for row, name in await session.execute(query)
    ]


async def steps_of(session: AsyncSession, rollout_id: str) -> Sequence[RolloutStep]:
    """The steps of a roll-out, the oldest first."""
    query = select(RolloutStep).where(RolloutStep.rollout_id == rollout_id).order_by(RolloutStep.turn)
    return (await session.scalars(query)).all()


async def nodes_of(session: AsyncSession, rollout_id: str, *, figures: bool) -> Sequence[NodeRow]:
    """The nodes of a roll-out by wave and name, with what they say; with `figures`, with what they measure too."""
    query = (
        select(RolloutNode, RolloutSite, Node, NodeReport, PolicyAnswer)
        .join(
            RolloutSite,
            and_(RolloutSite.rollout_id == RolloutNode.rollout_id, RolloutSite.site_id == RolloutNode.site_id),
        )
        .join(Node, Node.id == RolloutNode.node_id)
        .outerjoin(NodeReport, NodeReport.node_id == RolloutNode.node_id)
        .outerjoin(
            PolicyAnswer,
            and_(
                PolicyAnswer.node_id == RolloutNode.node_id,
                PolicyAnswer.generation == RolloutSite.generation,
                PolicyAnswer.version == RolloutSite.version,
            ),
        )
        .where(RolloutNode.rollout_id == rollout_id)
        .order_by(RolloutNode.wave, Node.name, Node.id)
        .execution_options(populate_existing=True)
    )
    counted = await _counters(session, rollout_id) if figures else {}
    return [
        _node(row, site, node, report, answer, counted)
        for row, site, node, report, answer in await session.execute(query)
    ]


async def _counters(session: AsyncSession, rollout_id: str) -> Mapping[str, Counters]:
    query = (
        select(NodeFigures.node_id, NodeFigures.lines)
        .join(RolloutNode, RolloutNode.node_id == NodeFigures.node_id)
        .where(RolloutNode.rollout_id == rollout_id)
    )
    return {node_id: read_counters(lines) for node_id, lines in await session.execute(query)}


def _node(
    row: RolloutNode,
    site: RolloutSite,
    node: Node,
    report: NodeReport | None,
    answer: PolicyAnswer | None,
    counted: Mapping[str, Counters],
) -> NodeRow:
    waiting, parked = (report.deliveries_waiting, report.deliveries_parked) if report is not None else (0, 0)
    runs = (report.active_generation, report.active_version) if report is not None else (0, 0)
    place = (site.generation, site.version)
    under = report.policy_figures if report is not None and runs == place else {}
    counters = counted.get(row.node_id)
    heard = (node.last_contact_at, report.reported_at if report is not None else None)
    return NodeRow(
        site_id=row.site_id,
        reason=row.reason,
        waiting=waiting,
        parked=parked,
        counters=counters or Counters(),
        word=NodeWord(
            node_id=row.node_id,
            name=node.name,
            wave=row.wave,
            given_at=row.given_at,
            absent=row.absent,
            said=answer.state if answer is not None else "",
            error=answer.error if answer is not None else "",
            revoked=node.revoked_at is not None,
            last_contact_at=max(filter(None, heard), default=None),
            queue_growth=waiting - row.waiting_before,
            parked_growth=max(parked - row.parked_before, sum(under.get(name, 0) for name in GIVEN_UP)),
            refused=grown(counters.refused, row.refused_before) if counters else 0,
            accepted=grown(counters.accepted, row.accepted_before) if counters else 0,
            restarts=under.get("restarts", 0),
            is_back=runs > place,
        ),
    )


async def give(tx: AsyncSession, rollout_id: str, rows: Sequence[NodeRow], *, at: datetime, absent: set[str]) -> None:
    """Note that nodes were given the policy, and how they were then."""
    values: list[Mapping[str, Any]] = [
        {
            "node": row.word.node_id,
            "given_at": at,
            "absent": row.word.node_id in absent,
            "waiting_before": row.waiting,
            "parked_before": row.parked,
            "refused_before": row.counters.refused,
            "accepted_before": row.counters.accepted,
        }
        for row in rows
    ]
    await _set_nodes(tx, rollout_id, values)


async def explain(tx: AsyncSession, rollout_id: str, words: Mapping[str, str]) -> None:
    """Keep why nodes failed."""
    await _set_nodes(tx, rollout_id, [{"node": node_id, "reason": reason} for node_id, reason in words.items()])


async def _set_nodes(tx: AsyncSession, rollout_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = RolloutNode.__table__
    assert isinstance(table, Table)
    mine = (table.c.rollout_id == rollout_id, table.c.node_id == bindparam("node"))
    values: Mapping[str, Any] = {name: bindparam(name) for name in rows[0] if name != "node"}
    await (await tx.connection()).execute(update(table).where(*mine).values(values), [dict(one) for one in rows])


async def went_back(tx: AsyncSession, rollout_id: str, site_id: int, *, generation: int) -> None:
    """Note the place at which a site's nodes were given the version before."""
    mine = (RolloutSite.rollout_id == rollout_id, RolloutSite.site_id == site_id)
    await (await tx.connection()).execute(update(RolloutSite).where(*mine).values(back_generation=generation))
