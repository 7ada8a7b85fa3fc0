"""Writes of deliveries: what is later wins, and what was delivered once is never forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import Table, case, func
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.order import tells_later
from control.db.upsert import Assignments, Columns, insert_missing, upsert
from control.deliveries.changes import FINALITY, UNFINISHED, DeliveryChange, DeliveryState
from control.deliveries.models import Delivery

Row = dict[str, Any]

DELIVERY = cast("Table", Delivery.__table__)

NEVER_REPLACED = frozenset({"node_id", "instance_id", "destination", "delivered_at"})


async def store_owed(session: AsyncSession, owed: Iterable[DeliveryChange]) -> None:
    """Deliveries that a reception named are known afterwards; those known already stay as they are."""
    await insert_missing(session, DELIVERY, fold(owed))


async def store_changes(session: AsyncSession, changes: Iterable[DeliveryChange]) -> None:
    """Each delivery is in the state that the latest report about it tells of."""
    await upsert(session, DELIVERY, fold(changes), _merge)


def fold(changes: Iterable[DeliveryChange]) -> Sequence[Row]:
    """One row for each delivery of one batch: its last state, and when it was first delivered (pure)."""
    rows: dict[tuple[str, str], Row] = {}
    for change in sorted(changes, key=lambda change: change.sequence):
        key = (change.instance_id, change.destination)
        before = rows.get(key, {}).get("delivered_at")
        delivered_at = change.occurred_at if change.state is DeliveryState.DELIVERED else None
        rows[key] = _row(change) | {"delivered_at": before or delivered_at}
    return list(rows.values())


def _row(change: DeliveryChange) -> Row:
    copied = (
        "node_id", "instance_id", "destination", "site", "sop_instance_uid", "study_instance_uid", "reason",
        "attempts", "dimse_status", "occurred_at", "epoch", "sequence",
    )  # fmt: skip
    return {name: getattr(change, name) for name in copied} | {
        "state": change.state.value,
        "unfinished": UNFINISHED[change.state],
        "finality": FINALITY[change.state],
    }


def _merge(stands: Columns, comes: Columns) -> Assignments:
    later = tells_later(stands, comes, comes.finality >= stands.finality)
    replaced: Assignments = {
        column.name: case((later, comes[column.name]), else_=stands[column.name])
        for column in DELIVERY.columns
        if column.name not in NEVER_REPLACED
    }
    return {**replaced, "delivered_at": func.coalesce(stands.delivered_at, comes.delivered_at)}
