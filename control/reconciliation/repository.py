"""Every query of accounts: sums over the studies of one site that began in a stretch of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.deliveries.changes import UNFINISHED, DeliveryState
from control.deliveries.models import Delivery
from control.instances.models import Instance, StudySite
from control.reconciliation.account import StudyAccount

WAITING, FOR_A_PERSON = UNFINISHED[DeliveryState.DUE], UNFINISHED[DeliveryState.PARKED]
DELIVERED, ENDED = UNFINISHED[DeliveryState.DELIVERED], UNFINISHED[DeliveryState.DISCARDED]


async def studies(session: AsyncSession, *, site: str, since: datetime, until: datetime) -> Sequence[StudyAccount]:
    """Each study whose first object was received in that time."""
    began = _began(site, since, until)
    received = {
        uid: (count, nowhere)
        for uid, count, nowhere in await session.execute(
            select(
                Instance.study_instance_uid,
                func.count(),
                func.coalesce(func.sum(case((Instance.destinations == 0, 1), else_=0)), 0),
            )
            .where(Instance.site == site, Instance.study_instance_uid.in_(began))
            .group_by(Instance.study_instance_uid)
        )
    }
    owed: dict[str, dict[int, int]] = {}
    for uid, unfinished, count in await session.execute(
        select(Delivery.study_instance_uid, Delivery.unfinished, func.count())
        .where(Delivery.site == site, Delivery.study_instance_uid.in_(began))
        .group_by(Delivery.study_instance_uid, Delivery.unfinished)
    ):
        owed.setdefault(uid, {})[unfinished] = count
    return [
        StudyAccount(
            study_instance_uid=uid,
            received=received.get(uid, (0, 0))[0],
            unrouted=int(received.get(uid, (0, 0))[1]),
            delivered=owed.get(uid, {}).get(DELIVERED, 0),
            waiting=owed.get(uid, {}).get(WAITING, 0),
            for_a_person=owed.get(uid, {}).get(FOR_A_PERSON, 0),
            ended=owed.get(uid, {}).get(ENDED, 0),
        )
        for uid in await session.scalars(began)
    ]


def _began(site: str, since: datetime, until: datetime) -> Select[str]:
    return select(StudySite.study_instance_uid).where(
        StudySite.site == site, StudySite.listed_at >= since, StudySite.listed_at < until
    )
