"""What a preview reads: studies of a site, and all receptions of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.instances.models import Instance, StudySite
from control.previews.judging import Reception

StudyPlace = tuple[datetime, str]
ReceptionPlace = tuple[str, str]


async def studies_of(
    session: AsyncSession, site: str, *, since: datetime, after: StudyPlace | None, limit: int
) -> Sequence[StudyPlace]:
    """(first heard of, UID) of a site's studies, the newest first. Objects that name no study are left out."""
    at, uid = StudySite.listed_at, StudySite.study_instance_uid
    query = select(at, uid).where(StudySite.site == site, at >= since, uid != "")
    if after is not None:
        query = query.where(or_(at < after[0], and_(at == after[0], uid < after[1])))
    found = await session.execute(query.order_by(at.desc(), uid.desc()).limit(limit))
    return [(row[0], row[1]) for row in found]


async def receptions_of(
    session: AsyncSession, site: str, studies: Sequence[str], *, after: ReceptionPlace | None, limit: int
) -> tuple[Sequence[Reception], ReceptionPlace | None]:
    """Receptions of these studies at a site, and where to go on. Those only heard of by a delivery are left out."""
    node, key = Instance.node_id, Instance.instance_id
    query = select(
        node, key, Instance.study_instance_uid, Instance.calling_ae_title, Instance.called_ae_title,
        Instance.peer_address, Instance.received_at, Instance.tags, Instance.flags, Instance.policy, Instance.reasons,
    )  # fmt: skip
    query = query.where(
        Instance.study_instance_uid.in_(studies), Instance.site == site, Instance.received_at.is_not(None)
    )
    if after is not None:
        query = query.where(or_(node > after[0], and_(node == after[0], key > after[1])))
    rows = (await session.execute(query.order_by(node, key).limit(limit))).all()
    place = (rows[-1].node_id, rows[-1].instance_id) if len(rows) == limit else None
    return [
        Reception(
            site=site, node_id=row.node_id, study_instance_uid=row.study_instance_uid,
            calling_ae_title=row.calling_ae_title, called_ae_title=row.called_ae_title, peer_address=row.peer_address,
            received_at=row.received_at, tags=row.tags, flags=row.flags, policy=row.policy, reasons=row.reasons,
        )
        for row in rows
    ], place  # fmt: skip
