"""Which studies may be forgotten, and what goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, not_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from control.deliveries.models import Delivery
from control.instances.models import Instance, Series, StudyFacet, StudySite, StudyTerm
from control.studies.states import has_unrouted, is_owed

Place = tuple[datetime, str, str]
"""When it was first received, its UID, its site: where a round of looking has come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Rows that a step took away, or would take."""

    studies: int = 0
    instances: int = 0
    deliveries: int = 0

    def __add__(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(
            studies=self.studies + other.studies,
            instances=self.instances + other.instances,
            deliveries=self.deliveries + other.deliveries,
        )


async def finished(
    session: AsyncSession, *, before: datetime, after: Place | None, limit: int, lock: bool = False
) -> Sequence[Place]:
    """Studies at a site of which nothing came since `before` and nothing is left to do, the oldest first.

    `lock`: nothing more can come of them until the transaction ends. Those of which something comes now are left out,
    so that nobody waits crosswise.
    """
    place = (StudySite.first_received_at, StudySite.study_instance_uid, StudySite.site)
    old = (
        select(*place)
        .where(
            StudySite.first_received_at < before,
            func.coalesce(StudySite.last_received_at, StudySite.first_received_at) < before,
            StudySite.study_instance_uid != "",
            not_(is_owed()),
            not_(has_unrouted(StudySite)),
        )
        .order_by(*place)
        .limit(limit)
    )
    if after is not None:
        old = old.where(tuple_(*place) > after)
    found = await session.execute(old.with_for_update(of=StudySite, skip_locked=True) if lock else old)
    return [(first, uid, site) for first, uid, site in found if first is not None]


async def count(session: AsyncSession, places: Sequence[Place]) -> Counted:
    """What these studies have."""
    instances, deliveries = [
        int(await session.scalar(select(func.count()).where(_of(model, places))) or 0) for model in (Instance, Delivery)
    ]
    return Counted(studies=len(places), instances=instances, deliveries=deliveries)


async def forget(tx: AsyncSession, places: Sequence[Place]) -> Counted:
    """Take these studies away with all that belongs to them. The place of a study in lists stays, a row of its UID."""
    gone = {
        model: cast("CursorResult[Any]", await tx.execute(delete(model).where(_of(model, places)))).rowcount
        for model in (Delivery, Instance, Series, StudyFacet, StudyTerm, StudySite)
    }
    return Counted(studies=gone[StudySite], instances=gone[Instance], deliveries=gone[Delivery])


def _of(model: Any, places: Sequence[Place]) -> Any:
    return tuple_(model.study_instance_uid, model.site).in_([(uid, site) for _, uid, site in places])
