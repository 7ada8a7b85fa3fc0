"""Reads over studies, receptions and deliveries together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, String, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from control.deliveries.models import Delivery
from control.instances.models import Instance, Series, StudyFacet, StudySite
from control.studies.conditions import Sites, at, condition_of, facet_of
from control.studies.query import StudyPlace, StudyQuery
from control.studies.tallies import UNROUTED_RANK, DestinationCount, ObjectCount, ReceptionCount

WAITING_RANK = 1


async def page(session: AsyncSession, query: StudyQuery) -> Sequence[StudyPlace]:
    """The newest studies first, in an order that nothing changes later."""
    connection = await session.connection()
    term, dialect = query.term(), connection.dialect.name
    # A value of a facet has an index with the studies in their order, however many there are of it.
    facet = facet_of(term, dialect)
    source = StudyFacet if facet else StudySite
    conditions = [*_of_page(source, query), *facet]
    if term is not None and not facet:
        conditions.append(condition_of(term, dialect))
    found = await session.execute(
        select(source.listed_at, source.study_instance_uid)
        .where(*conditions)
        .distinct()
        .order_by(source.listed_at.desc(), source.study_instance_uid.desc())
        .limit(query.limit)
    )
    return [StudyPlace(listed_at=listed_at, study_instance_uid=uid) for listed_at, uid in found]


def _of_page(source: type[StudySite | StudyFacet], query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    if query.within is not None:
        yield from at(source.site, tuple(sorted(query.within)))
    if (place := query.after) is not None:
        yield source.listed_at <= place.listed_at  # a range of the index, which the next line alone is not
        yield or_(source.listed_at < place.listed_at, source.study_instance_uid < place.study_instance_uid)


async def sites_of(session: AsyncSession, studies: Sequence[str], sites: Sites = None) -> Sequence[StudySite]:
    """These studies as each site knows them, the site that was told of last first."""
    found = await session.scalars(
        select(StudySite)
        .where(StudySite.study_instance_uid.in_(studies), *at(StudySite.site, sites))
        .order_by(func.coalesce(StudySite.last_received_at, StudySite.first_received_at).desc(), StudySite.site)
    )
    return found.all()


async def modalities_of(
    session: AsyncSession, studies: Sequence[str], sites: Sites = None
) -> Sequence[tuple[str, str]]:
    """(study, modality), each once, in order."""
    found = await session.execute(
        select(Series.study_instance_uid, Series.modality)
        .where(Series.study_instance_uid.in_(studies), *at(Series.site, sites), Series.modality != "")
        .distinct()
        .order_by(Series.study_instance_uid, Series.modality)
    )
    return [(study, modality) for study, modality in found]


async def reception_counts(
    session: AsyncSession, studies: Sequence[str], sites: Sites = None
) -> Sequence[ReceptionCount]:
    """What each site received of these studies."""
    key = (Instance.study_instance_uid, Instance.site)
    found = await session.execute(
        select(
            *key,
            func.count(),
            func.count(Instance.sop_instance_uid.distinct()),
            func.count() - func.count(Instance.received_at),
        )
        .where(Instance.study_instance_uid.in_(studies), *at(Instance.site, sites))
        .group_by(*key)
    )
    return [ReceptionCount(*row) for row in found]


async def delivery_counts(
    session: AsyncSession, studies: Sequence[str], sites: Sites = None
) -> Sequence[DestinationCount]:
    """The deliveries of these studies: of an object that arrived twice there are two."""
    key = (Delivery.study_instance_uid, Delivery.site, Delivery.destination, Delivery.unfinished)
    found = await session.execute(
        select(*key, func.count())
        .where(Delivery.study_instance_uid.in_(studies), *at(Delivery.site, sites))
        .group_by(*key)
        .order_by(*key)
    )
    return [DestinationCount(*row) for row in found]


async def object_counts(session: AsyncSession, studies: Sequence[str], sites: Sites = None) -> Sequence[ObjectCount]:
    """Every object once, under the least finished of all its deliveries.

    Of a reception that was not told yet, nobody knows all destinations, so it never counts as delivered.
    """
    not_told = Instance.received_at.is_(None) & (func.coalesce(Delivery.unfinished, 0) < WAITING_RANK)
    rank = case((not_told, WAITING_RANK), else_=func.coalesce(Delivery.unfinished, UNROUTED_RANK))
    each = (
        select(Instance.study_instance_uid.label("study"), func.max(rank).label("unfinished"))
        .outerjoin(Delivery, (Delivery.node_id == Instance.node_id) & (Delivery.instance_id == Instance.instance_id))
        .where(Instance.study_instance_uid.in_(studies), *at(Instance.site, sites))
        .group_by(Instance.study_instance_uid, _object(Instance.sop_instance_uid, Instance.instance_id))
        .subquery()
    )
    found = await session.execute(
        select(each.c.study, each.c.unfinished, func.count()).group_by(each.c.study, each.c.unfinished)
    )
    return [ObjectCount(study, unfinished, objects) for study, unfinished, objects in found]


async def destination_counts(
    session: AsyncSession, studies: Sequence[str], sites: Sites = None
) -> Sequence[DestinationCount]:
    """Every object once at each destination of a site, under the least finished of its deliveries there."""
    each = (
        select(
            Delivery.study_instance_uid.label("study"),
            Delivery.site,
            Delivery.destination,
            func.max(Delivery.unfinished).label("unfinished"),
        )
        .where(Delivery.study_instance_uid.in_(studies), *at(Delivery.site, sites))
        .group_by(
            Delivery.study_instance_uid,
            Delivery.site,
            Delivery.destination,
            _object(Delivery.sop_instance_uid, Delivery.instance_id),
        )
        .subquery()
    )
    key = (each.c.study, each.c.site, each.c.destination, each.c.unfinished)
    found = await session.execute(select(*key, func.count()).group_by(*key).order_by(*key))
    return [DestinationCount(*row) for row in found]


async def site_counts(session: AsyncSession, studies: Sequence[str], sites: Sites = None) -> dict[tuple[str, str], int]:
    """(study, site) -> how many objects the site received."""
    each = (
        select(Instance.study_instance_uid.label("study"), Instance.site)
        .where(Instance.study_instance_uid.in_(studies), *at(Instance.site, sites))
        .group_by(Instance.study_instance_uid, Instance.site, _object(Instance.sop_instance_uid, Instance.instance_id))
        .subquery()
    )
    found = await session.execute(select(each.c.study, each.c.site, func.count()).group_by(each.c.study, each.c.site))
    return {(study, site): objects for study, site, objects in found}


def _object(
    sop_instance_uid: InstrumentedAttribute[str], instance_id: InstrumentedAttribute[str]
) -> ColumnElement[str]:
    """What makes two receptions one object. Objects that name no SOP instance are never one."""
    own = literal("reception ", String) + instance_id
    return case((sop_instance_uid == "", own), else_=sop_instance_uid)
