"""How far objects of a study are at a site, as SQL conditions on a row that is about that study there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, literal, not_, select
from sqlalchemy.orm import aliased

from control.deliveries.changes import UNFINISHED, DeliveryState, Progress
from control.deliveries.models import Delivery
from control.instances.facts import SENT_NOWHERE
from control.instances.models import Instance, StudyFacet, StudySite

NOT_DELIVERED = Delivery.unfinished != literal(0, literal_execute=True)
"""Literal, so that both databases see that the partial index fits."""

STILL_OWED = and_(NOT_DELIVERED, Delivery.unfinished > literal(0, literal_execute=True))

_OWED_TO_NOBODY = Instance.destinations == literal(0, literal_execute=True)

_AGAIN = aliased(Instance)
_ITS_DELIVERY = aliased(Delivery)


def in_state(state: str) -> ColumnElement[bool]:
    """That some object of the study is this far at the site; `delivered`: that all of them are, and there is one."""
    match Progress(state):
        case Progress.PARKED:
            return _has(STILL_OWED, Delivery.unfinished == UNFINISHED[DeliveryState.PARKED])
        case Progress.WAITING:
            return _has(STILL_OWED, Delivery.unfinished == UNFINISHED[DeliveryState.DUE])
        case Progress.SUPERSEDED:
            return _has(NOT_DELIVERED, Delivery.unfinished == UNFINISHED[DeliveryState.SUPERSEDED])
        case Progress.UNROUTED:
            return and_(_was_sent_nowhere(), has_unrouted(StudySite))
        case Progress.DELIVERED:
            delivered = _has(Delivery.unfinished == UNFINISHED[DeliveryState.DELIVERED])
            return and_(delivered, not_(is_owed()), not_(has_unrouted(StudySite)))


def is_owed() -> ColumnElement[bool]:
    """That some object of the study waits for a destination or for a person, at a row of `study_site`."""
    return _has(STILL_OWED)


def is_sent_nowhere() -> ColumnElement[bool]:
    """That a row of `study_facet` says so of some reception: few do, and an index has them in the order of a list."""
    kind, value = SENT_NOWHERE
    return and_(StudyFacet.kind == kind, StudyFacet.value == value)


def has_unrouted(row: type[StudySite | StudyFacet]) -> ColumnElement[bool]:
    """That no reception of some object of the study made its node owe it to anybody."""
    own = exists().where(Delivery.node_id == Instance.node_id, Delivery.instance_id == Instance.instance_id)
    again = exists().where(
        Instance.sop_instance_uid != "",
        _AGAIN.sop_instance_uid == Instance.sop_instance_uid,
        _AGAIN.study_instance_uid == Instance.study_instance_uid,
        _AGAIN.site == Instance.site,
        _ITS_DELIVERY.node_id == _AGAIN.node_id,
        _ITS_DELIVERY.instance_id == _AGAIN.instance_id,
    )
    # The offset keeps PostgreSQL from looking at every object of every study: the first of each is enough.
    some = select(literal(1)).where(*_of(row, Instance), _OWED_TO_NOBODY, not_(own), not_(again)).offset(0)
    return some.exists()


def _was_sent_nowhere() -> ColumnElement[bool]:
    return exists().where(*_of(StudySite, StudyFacet), is_sent_nowhere())


def _has(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(*_of(StudySite, Delivery), *conditions)


def _of(row: type[StudySite | StudyFacet], model: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return model.study_instance_uid == row.study_instance_uid, model.site == row.site
