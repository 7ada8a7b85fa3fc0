"""Reads of single receptions with their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from control.deliveries.models import Delivery
from control.instances.models import Instance
from control.studies.conditions import Sites, at


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptionPlace:
    """Where a page of receptions ended."""

    listed_at: datetime
    node_id: str
    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptionQuery:
    """Every condition must hold; None asks for nothing."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    site: str | None = None
    node_id: str | None = None
    within: frozenset[str] | None = None
    """The sites that the asker may see; None: all."""
    after: ReceptionPlace | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """One arrival of an object, with what its node owes for it."""

    instance: Instance
    number: int
    """This is the n-th arrival of the same object in its study …"""
    of: int
    """… and so many are known."""
    deliveries: Sequence[Delivery]


async def receptions(session: AsyncSession, query: ReceptionQuery) -> Sequence[Reception]:
    """Receptions from the oldest on, in an order that nothing changes later."""
    wanted = _conditions(query)
    found = await session.scalars(
        select(Instance)
        .where(*wanted)
        .order_by(Instance.listed_at, Instance.node_id, Instance.instance_id)
        .limit(query.limit)
    )
    instances = found.all()
    arrivals = await _arrivals(session, instances, _seen(query))
    owed = await _deliveries(session, instances)
    return [
        Reception(instance=one, number=number, of=of, deliveries=owed.get((one.node_id, one.instance_id), ()))
        for one in instances
        for number, of in [arrivals.get((one.node_id, one.instance_id), (1, 1))]
    ]


def _conditions(query: ReceptionQuery) -> Sequence[ColumnElement[bool]]:
    asked = {
        Instance.study_instance_uid: query.study_instance_uid,
        Instance.series_instance_uid: query.series_instance_uid,
        Instance.sop_instance_uid: query.sop_instance_uid,
        Instance.site: query.site,
        Instance.node_id: query.node_id,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in asked.items() if value is not None]
    conditions += at(Instance.site, _seen(query))
    if (place := query.after) is not None:
        conditions.append(Instance.listed_at >= place.listed_at)  # a range of the index, which the next is not
        conditions.append(
            or_(
                Instance.listed_at > place.listed_at,
                and_(
                    Instance.listed_at == place.listed_at,
                    tuple_(Instance.node_id, Instance.instance_id) > (place.node_id, place.instance_id),
                ),
            )
        )
    return conditions


def _seen(query: ReceptionQuery) -> Sites:
    return None if query.within is None else tuple(sorted(query.within))


async def _arrivals(
    session: AsyncSession, instances: Sequence[Instance], sites: Sites
) -> dict[tuple[str, str], tuple[int, int]]:
    """(node, reception) -> (which arrival of its object, of how many), for objects that arrived more than once."""
    uids = {one.sop_instance_uid for one in instances if one.sop_instance_uid}
    same = (Instance.study_instance_uid, Instance.sop_instance_uid)
    found = await session.execute(
        select(
            Instance.node_id,
            Instance.instance_id,
            func.row_number().over(
                partition_by=same, order_by=(Instance.listed_at, Instance.node_id, Instance.instance_id)
            ),
            func.count().over(partition_by=same),
        ).where(Instance.sop_instance_uid.in_(uids), *at(Instance.site, sites))
    )
    return {(node, instance): (number, of) for node, instance, number, of in found}


async def _deliveries(
    session: AsyncSession, instances: Sequence[Instance]
) -> dict[tuple[str, str], Sequence[Delivery]]:
    wanted = {(one.node_id, one.instance_id) for one in instances}
    found = await session.scalars(
        select(Delivery)
        .where(
            Delivery.node_id.in_({node for node, _ in wanted}),
            Delivery.instance_id.in_({instance for _, instance in wanted}),
        )
        .order_by(Delivery.destination)
    )
    owed: dict[tuple[str, str], list[Delivery]] = {}
    for one in found:
        owed.setdefault((one.node_id, one.instance_id), []).append(one)
    return dict(owed)
