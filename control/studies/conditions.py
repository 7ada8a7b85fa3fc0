"""A study query as SQL conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Exists, and_, exists, literal, not_, or_, select

from control.deliveries.changes import UNFINISHED, DeliveryState, Progress
from control.deliveries.models import Delivery
from control.instances.models import Instance, Series, Study, StudySite, StudyTerm
from control.studies.query import WILDCARD, StudyQuery

LAST_CHARACTER = "\U0010ffff"
"""Sorts behind everything that can follow a prefix, byte by byte in UTF-8."""

STILL_OWED = Delivery.unfinished > literal(0, literal_execute=True)
"""Literal, so that both databases see that the partial index fits."""


def conditions_of(query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    """What a study must meet."""
    if query.study_instance_uid is not None:
        yield Study.study_instance_uid == query.study_instance_uid
    if query.sop_instance_uid is not None:
        yield _in_study(Instance, Instance.sop_instance_uid == query.sop_instance_uid)
    if asked := list(_of_site(query)):
        yield _in_study(StudySite, *asked)
    if query.modality is not None:
        at = [Series.site == query.site] if query.site is not None else []
        yield _in_study(Series, Series.modality == query.modality, *at)
    for word in query.text:
        at = [StudyTerm.site == query.site] if query.site is not None else []
        yield _in_study(StudyTerm, begins_with(StudyTerm.term, word), *at)
    if query.state is not None:
        yield _in_state(query.state, query.site)
    if query.after is not None:
        yield or_(
            Study.listed_at < query.after.listed_at,
            and_(
                Study.listed_at == query.after.listed_at,
                Study.study_instance_uid < query.after.study_instance_uid,
            ),
        )


def begins_with(column: Any, prefix: str) -> ColumnElement[bool]:
    """A range of an index whose order is that of the bytes; never a pattern that a value could be part of."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def _of_site(query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    """Conditions that one and the same site must meet: patient ids of two hospitals are never mixed."""
    if query.site is not None:
        yield StudySite.site == query.site
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


def _in_state(state: Progress, site: str | None) -> ColumnElement[bool]:
    match state:
        case Progress.PARKED:
            return _owed(UNFINISHED[DeliveryState.PARKED], site)
        case Progress.WAITING:
            return _owed(UNFINISHED[DeliveryState.DUE], site)
        case Progress.UNROUTED:
            return _has_unrouted(site)
        case Progress.SUPERSEDED:
            at = [Delivery.site == site] if site is not None else []
            return _in_study(Delivery, Delivery.unfinished == UNFINISHED[DeliveryState.SUPERSEDED], *at)
        case Progress.DELIVERED:
            at = [Delivery.site == site] if site is not None else []
            of_study = Delivery.study_instance_uid == Study.study_instance_uid
            return and_(
                exists().where(of_study, Delivery.unfinished == UNFINISHED[DeliveryState.DELIVERED], *at),
                not_(exists().where(of_study, STILL_OWED, *at)),
                not_(_has_unrouted(site)),
            )


def _owed(unfinished: int, site: str | None) -> ColumnElement[bool]:
    at = [Delivery.site == site] if site is not None else []
    return _in_study(Delivery, Delivery.unfinished == unfinished, STILL_OWED, *at)


def _has_unrouted(site: str | None) -> Exists:
    """An object that no reception of it made its node owe to anybody."""
    at = [Instance.site == site] if site is not None else []
    same_object = or_(Instance.sop_instance_uid != "", Delivery.instance_id == Instance.instance_id)
    routed = exists().where(
        Delivery.study_instance_uid == Instance.study_instance_uid,
        Delivery.sop_instance_uid == Instance.sop_instance_uid,
        same_object,
    )
    return exists().where(Instance.study_instance_uid == Study.study_instance_uid, not_(routed), *at)
