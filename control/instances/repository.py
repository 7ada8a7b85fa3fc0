"""Writes of receptions: set-based, and the same result whatever is sent twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, case, or_, true
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.order import tells_later
from control.db.upsert import Assignments, Columns, insert_missing, upsert
from control.deliveries.changes import DeliveryChange
from control.instances import facts
from control.instances.models import Instance, Series, Study, StudySite, StudyTerm
from control.instances.received import ReceivedInstance

STUDY, STUDY_SITE, STUDY_TERM, SERIES, INSTANCE = (
    cast("Table", model.__table__) for model in (Study, StudySite, StudyTerm, Series, Instance)
)

NEVER_REPLACED = frozenset({"node_id", "instance_id", "listed_at"})

STUB_DEFAULTS: dict[Table, dict[str, Any]] = {
    STUDY_SITE: dict.fromkeys(facts.STUDY_ATTRIBUTES, "") | {"first_received_at": None, "last_received_at": None},
    INSTANCE: {"data_set_bytes": 0, "tags": {}, "flags": [], "reasons": []}
    | dict.fromkeys(
        ("sop_class_uid", "series_instance_uid", "transfer_syntax_uid", "calling_ae_title", "called_ae_title",
         "peer_address", "policy"), "",
    ),
}  # fmt: skip


async def store_receptions(session: AsyncSession, receptions: Sequence[ReceivedInstance]) -> None:
    """Every object of these is known afterwards, with its study and series."""
    await insert_missing(session, STUDY, facts.study_rows(receptions))
    await upsert(session, STUDY_SITE, facts.study_site_rows(receptions), _merge_study_site)
    await insert_missing(session, STUDY_TERM, facts.term_rows(receptions))
    await upsert(session, SERIES, facts.series_rows(receptions), _merge_series)
    await upsert(session, INSTANCE, facts.instance_rows(receptions), _merge_instance)


async def store_stubs(session: AsyncSession, changes: Iterable[DeliveryChange]) -> None:
    """Every object that these name is known afterwards, if only by its delivery."""
    studies, sites, instances = facts.stub_rows(changes)
    await insert_missing(session, STUDY, studies)
    await insert_missing(session, STUDY_SITE, [STUB_DEFAULTS[STUDY_SITE] | row for row in sites])
    await insert_missing(session, INSTANCE, [STUB_DEFAULTS[INSTANCE] | row for row in instances])


def _merge_study_site(stands: Columns, comes: Columns) -> Assignments:
    first, new_first = stands.first_received_at, comes.first_received_at
    return {
        **{name: _newest_value(stands, comes, name) for name in facts.STUDY_ATTRIBUTES},
        "first_received_at": case((first.is_(None), new_first), (new_first < first, new_first), else_=first),
        "last_received_at": _latest(stands, comes),
    }


def _merge_series(stands: Columns, comes: Columns) -> Assignments:
    return {
        **{name: _newest_value(stands, comes, name) for name in facts.SERIES_ATTRIBUTES},
        "last_received_at": _latest(stands, comes),
    }


def _merge_instance(stands: Columns, comes: Columns) -> Assignments:
    later = or_(stands.received_at.is_(None), tells_later(stands, comes, true()))
    return {
        column.name: case((later, comes[column.name]), else_=stands[column.name])
        for column in INSTANCE.columns
        if column.name not in NEVER_REPLACED
    }


def _newest_value(stands: Columns, comes: Columns, name: str) -> ColumnElement[Any]:
    """The value received later; an empty one never replaces what is known."""
    old, new = stands[name], comes[name]
    known_since = stands.last_received_at
    return case(
        (new == "", old),
        (or_(old == "", known_since.is_(None), comes.last_received_at >= known_since), new),
        else_=old,
    )


def _latest(stands: Columns, comes: Columns) -> ColumnElement[Any]:
    old, new = stands.last_received_at, comes.last_received_at
    return case((old.is_(None), new), (new > old, new), else_=old)
