"""Taking one transition: the row changes and the outbox hears of it, in the same transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import apsw

from edge.buffer import rows
from edge.buffer.database import Row, run
from edge.buffer.seal import to_microseconds
from edge.buffer.states import UNFINISHED, DeliveryEvent, sources, target
from edge.errors import IllegalTransition

_REPLACEABLE = frozenset(sources(DeliveryEvent.REPLACED))
_SILENT = frozenset({DeliveryEvent.GIVEN_BACK})
"""Events that change nothing for anybody who watches: the delivery was not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What happened to one delivery."""

    delivery_id: int
    event: DeliveryEvent
    reason: str = ""
    dimse_status: int = 0
    not_before: datetime | None = None
    """When a delivery that failed transiently may be tried again, or when its destination is first asked for it."""
    sent_as: tuple[str, str, str] = ("", "", "")
    """With `UNPROVEN`: its study, series and SOP instance UID as the destination got them."""


def take(connection: apsw.Connection, change: Transition) -> None:
    """Apply one transition inside the caller's transaction.

    Raises:
        IllegalTransition: the delivery is in a state that this event cannot happen in.
    """
    now = to_microseconds(datetime.now(UTC))
    before = run(connection, "last_reason", id=change.delivery_id)
    changed = run(
        connection,
        "transition",
        id=change.delivery_id,
        target=target(change.event),
        sources=json.dumps(sources(change.event)),
        reason=change.reason,
        dimse_status=change.dimse_status,
        not_before=to_microseconds(change.not_before) if change.not_before else 0,
        unspent=1 if change.event in _SILENT else 0,
        now=now,
    )
    if not changed:
        raise IllegalTransition(f"delivery {change.delivery_id} cannot be {change.event} now")
    _keep_proof(connection, change)
    if target(change.event) not in UNFINISHED:
        run(connection, "settle_instance", delivery=change.delivery_id, now=now)
    if target(change.event) in _REPLACEABLE and run(connection, "is_overtaken", id=change.delivery_id):
        take(connection, replace(change, event=DeliveryEvent.REPLACED, reason=f"replaced; before: {change.reason}"))
        return
    if change.event not in _SILENT and not _again(change, before):
        body = rows.changed_body(run(connection, "delivery_event", id=change.delivery_id)[0])
        run(connection, "add_event", kind="delivery_changed", now=now, body=json.dumps(body))


def _keep_proof(connection: apsw.Connection, change: Transition) -> None:
    match change.event:
        case DeliveryEvent.UNPROVEN:
            study, series, sop = change.sent_as
            run(connection, "expect_proof", id=change.delivery_id, study=study, series=series, sop=sop)
        case DeliveryEvent.MISSING:
            run(connection, "count_missing", id=change.delivery_id)
        case DeliveryEvent.VERIFIED | DeliveryEvent.NEVER_FOUND:
            run(connection, "forget_proof", id=change.delivery_id)


def _again(change: Transition, before: list[Row]) -> bool:
    """Whether this only repeats what was told: retries have no limit, so each would be an event without end."""
    repeats = change.event is DeliveryEvent.FAILED_TRANSIENTLY and before[0]["attempts"] > 1
    return repeats and before[0]["reason"] == change.reason
