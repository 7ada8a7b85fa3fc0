"""Writes of deliveries: what is later wins, and what was delivered once is never forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Table, case, func
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.order import tells_later
from control.db.upsert import Assignments, Columns, Rows, insert_missing, upsert
from control.deliveries.changes import FINALITY, UNFINISHED, DeliveryChange, DeliveryState
from control.deliveries.models import Delivery

DELIVERY = cast("Table", Delivery.__table__)

NEVER_REPLACED = frozenset({"node_id", "instance_id", "destination", "delivered_at"})


COLUMNS = (
    "node_id", "instance_id", "destination", "site", "sop_instance_uid", "study_instance_uid", "state", "unfinished",
    "finality", "reason", "attempts", "dimse_status", "occurred_at", "epoch", "sequence", "delivered_at",
)  # fmt: skip

Key = tuple[str, str, str]
"""Node, reception, destination."""


async def store(session: AsyncSession, owed: Iterable[DeliveryChange], changes: Iterable[DeliveryChange]) -> None:
    """Deliveries that a reception named are known afterwards, each in the state that the latest report tells of.

    What is owed never changes a delivery that is known already. Where a change of the same batch is later than the
    reception, which is nearly always, writing the change alone comes to the same, and is half the work.
    """
    told = fold(changes)
    alone = [row for key, row in fold(owed).items() if not _overtaken(row, told.get(key))]
    await insert_missing(session, DELIVERY, Rows(COLUMNS, alone))
    await upsert(session, DELIVERY, Rows(COLUMNS, list(told.values())), _merge)


def _overtaken(owed: tuple[Any, ...], told: tuple[Any, ...] | None) -> bool:
    return told is not None and told[_EPOCH] == owed[_EPOCH] and told[_SEQUENCE] > owed[_SEQUENCE]


_EPOCH, _SEQUENCE = COLUMNS.index("epoch"), COLUMNS.index("sequence")


def fold(changes: Iterable[DeliveryChange]) -> dict[Key, tuple[Any, ...]]:
    """One row for each delivery of one batch: its last state, and when it was first delivered (pure)."""
    rows: dict[Key, tuple[Any, ...]] = {}
    for change in sorted(changes, key=_BY_SEQUENCE):
        key = (change.node_id, change.instance_id, change.destination)
        before = rows[key][-1] if key in rows else None
        delivered_at = change.occurred_at if change.state is DeliveryState.DELIVERED else None
        rows[key] = (*_row(change), before or delivered_at)
    return rows


_BY_SEQUENCE = attrgetter("sequence")


def _row(one: DeliveryChange) -> tuple[Any, ...]:
    return (
        one.node_id, one.instance_id, one.destination, one.site, one.sop_instance_uid, one.study_instance_uid,
        one.state.value, UNFINISHED[one.state], FINALITY[one.state], one.reason, one.attempts, one.dimse_status,
        one.occurred_at, one.epoch, one.sequence,
    )  # fmt: skip


def _merge(stands: Columns, comes: Columns) -> Assignments:
    later = tells_later(stands, comes, comes.finality >= stands.finality)
    replaced: Assignments = {
        column.name: case((later, comes[column.name]), else_=stands[column.name])
        for column in DELIVERY.columns
        if column.name not in NEVER_REPLACED
    }
    return {**replaced, "delivered_at": func.coalesce(stands.delivered_at, comes.delivered_at)}
