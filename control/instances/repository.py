"""Writes of receptions: set-based, and the same result whatever is sent twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, case, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.order import tells_later
from control.db.upsert import Assignments, Columns, Rows, insert_missing, upsert
from control.deliveries.changes import DeliveryChange
from control.instances import facts
from control.instances.models import Instance, Series, Study, StudyFacet, StudySite, StudyTerm
from control.instances.received import ReceivedInstance

STUDY, STUDY_SITE, STUDY_TERM, STUDY_FACET, SERIES, INSTANCE = (
    cast("Table", model.__table__) for model in (Study, StudySite, StudyTerm, StudyFacet, Series, Instance)
)

NEVER_REPLACED = frozenset({"node_id", "instance_id", "listed_at"})

STUB_DEFAULTS: dict[Table, dict[str, Any]] = {
    STUDY_SITE: dict.fromkeys(facts.STUDY_COLUMNS, "") | {"first_received_at": None, "last_received_at": None},
    INSTANCE: {"data_set_bytes": 0, "tags": {}, "flags": [], "reasons": []}
    | dict.fromkeys(
        ("sop_class_uid", "series_instance_uid", "transfer_syntax_uid", "calling_ae_title", "called_ae_title",
         "peer_address", "policy"), "",
    ),
}  # fmt: skip


async def store(
    session: AsyncSession, receptions: Sequence[ReceivedInstance], untold: Sequence[DeliveryChange]
) -> None:
    """Every object of these is known afterwards, with its study and series; of the untold ones, what they name.

    Each table that nodes share is written once, in the order of its keys: so no two transactions lock crosswise.
    """
    told = facts.study_facts(receptions)
    studies, sites, instances = facts.stub_rows(untold)
    listed = {row["study_instance_uid"]: row["listed_at"] for row in (*studies, *told.studies)}
    await insert_missing(session, STUDY, Rows(("study_instance_uid", "listed_at"), list(listed.items())))
    listed |= await _listed_at(session, list(listed))
    known = {(row["study_instance_uid"], row["site"]) for row in told.sites}
    stubs = [STUB_DEFAULTS[STUDY_SITE] | row for row in sites if (row["study_instance_uid"], row["site"]) not in known]
    await upsert(session, STUDY_SITE, _with(listed, (*told.sites, *stubs)), _merge_study_site)
    await insert_missing(session, STUDY_TERM, told.terms)
    await insert_missing(session, STUDY_FACET, _with(listed, told.facets))
    await upsert(session, SERIES, told.series, _merge_series)
    await upsert(session, INSTANCE, facts.instance_rows(receptions), _merge_instance)
    await insert_missing(session, INSTANCE, [STUB_DEFAULTS[INSTANCE] | row for row in instances])


async def _listed_at(session: AsyncSession, uids: Sequence[str]) -> dict[str, datetime]:
    """Where these studies stand in the list for ever, also those that were known before."""
    if not uids:
        return {}
    found = await session.execute(
        select(Study.study_instance_uid, Study.listed_at).where(Study.study_instance_uid.in_(uids))
    )
    return dict(iter(found))


def _with(listed: Mapping[str, datetime], rows: Iterable[facts.Row]) -> Sequence[facts.Row]:
    return [row | {"listed_at": listed[row["study_instance_uid"]]} for row in rows]


def _merge_study_site(stands: Columns, comes: Columns) -> Assignments:
    first, new_first = stands.first_received_at, comes.first_received_at
    return {
        **{name: _newest_value(stands, comes, name) for name in facts.STUDY_COLUMNS},
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
