"""A study query as SQL conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Exists, and_, exists, literal, not_, or_, select

from control.deliveries.changes import UNFINISHED, DeliveryState, Progress
from control.deliveries.models import Delivery
from control.instances.models import Instance, Series, Study, StudySite, StudyTerm
from control.studies.query import WILDCARD, StudyQuery

LAST_CHARACTER = "\U0010ffff"
"""Sorts behind everything that can follow a prefix, byte by byte in UTF-8."""

Sites = tuple[str, ...] | None

STILL_OWED = Delivery.unfinished > literal(0, literal_execute=True)
"""Literal, so that both databases see that the partial index fits."""


def conditions_of(query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    """What a study must meet."""
    if query.study_instance_uid is not None:
        yield Study.study_instance_uid == query.study_instance_uid
    sites = query.sites()
    if query.sop_instance_uid is not None:
        yield _in_study(Instance, Instance.sop_instance_uid == query.sop_instance_uid, *at(Instance.site, sites))
    if asked := list(_of_site(query)):
        yield _in_study(StudySite, *asked)
    if query.modality is not None:
        yield _in_study(Series, Series.modality == query.modality, *at(Series.site, sites))
    for word in query.text:
        yield _in_study(StudyTerm, begins_with(StudyTerm.term, word), *at(StudyTerm.site, sites))
    if query.state is not None:
        yield _in_state(query.state, sites)
    if query.after is not None:
        yield or_(
            Study.listed_at < query.after.listed_at,
            and_(
                Study.listed_at == query.after.listed_at,
                Study.study_instance_uid < query.after.study_instance_uid,
            ),
        )


def at(column: Any, sites: Sites) -> Sequence[ColumnElement[bool]]:
    """That something is of one of these sites; nothing is asked for all."""
    if sites is None:
        return ()
    return (column == sites[0],) if len(sites) == 1 else (column.in_(sites),)


def begins_with(column: Any, prefix: str) -> ColumnElement[bool]:
    """A range of an index whose order is that of the bytes; never a pattern that a value could be part of."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def _of_site(query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    """Conditions that one and the same site must meet: patient ids of two hospitals are never mixed."""
    yield from at(StudySite.site, query.sites())
    for column, wanted in (
        (StudySite.patient_id, query.patient_id),
        (StudySite.accession_number, query.accession_number),
    ):
        if wanted is not None and wanted.endswith(WILDCARD):
            yield begins_with(column, wanted.removesuffix(WILDCARD))
        elif wanted is not None:
            yield column == wanted
    if query.study_date_from is not None:
        yield StudySite.study_date >= query.study_date_from.strftime("%Y%m%d")
    if query.study_date_to is not None:
        yield StudySite.study_date <= query.study_date_to.strftime("%Y%m%d")
        yield StudySite.study_date != ""


def _in_study(model: Any, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return Study.study_instance_uid.in_(select(model.study_instance_uid).where(*conditions))


def _in_state(state: Progress, sites: Sites) -> ColumnElement[bool]:
    match state:
        case Progress.PARKED:
            return _owed(UNFINISHED[DeliveryState.PARKED], sites)
        case Progress.WAITING:
            return _owed(UNFINISHED[DeliveryState.DUE], sites)
        case Progress.UNROUTED:
            return _has_unrouted(sites)
        case Progress.SUPERSEDED:
            return _in_study(
                Delivery, Delivery.unfinished == UNFINISHED[DeliveryState.SUPERSEDED], *at(Delivery.site, sites)
            )
        case Progress.DELIVERED:
            of_study = Delivery.study_instance_uid == Study.study_instance_uid
            return and_(
                exists().where(
                    of_study, Delivery.unfinished == UNFINISHED[DeliveryState.DELIVERED], *at(Delivery.site, sites)
                ),
                not_(exists().where(of_study, STILL_OWED, *at(Delivery.site, sites))),
                not_(_has_unrouted(sites)),
            )


def _owed(unfinished: int, sites: Sites) -> ColumnElement[bool]:
    return _in_study(Delivery, Delivery.unfinished == unfinished, STILL_OWED, *at(Delivery.site, sites))


def _has_unrouted(sites: Sites) -> Exists:
    """An object that no reception of it made its node owe to anybody."""
    same_object = or_(Instance.sop_instance_uid != "", Delivery.instance_id == Instance.instance_id)
    routed = exists().where(
        Delivery.study_instance_uid == Instance.study_instance_uid,
        Delivery.sop_instance_uid == Instance.sop_instance_uid,
        same_object,
    )
    return exists().where(
        Instance.study_instance_uid == Study.study_instance_uid, not_(routed), *at(Instance.site, sites)
    )
