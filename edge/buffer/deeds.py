"""What a person does to many deliveries at once, inside the caller's transaction: a few statements for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import apsw

from edge.buffer.database import run
from edge.buffer.seal import to_microseconds
from edge.buffer.states import DeliveryEvent
from edge.buffer.transitions import Transition, take
from edge.errors import IllegalTransition

Together = Callable[[apsw.Connection, Sequence[int]], int]
"""Does something to these deliveries, those of them with which it is still possible; how many."""
_RELEASED = "released by an operator"


def release(connection: apsw.Connection, ids: Sequence[int]) -> int:
    """Make these due again."""
    done = _change(connection, "release_together", ids, _RELEASED)
    for one in ids:
        if one not in done:
            # A newer object has replaced its instance, or the node was quicker.
            with suppress(IllegalTransition):
                change = Transition(delivery_id=one, event=DeliveryEvent.RELEASED_BY_OPERATOR, reason=_RELEASED)
                take(connection, change)
                done.add(one)
    return len(done)


def hold(connection: apsw.Connection, ids: Sequence[int], *, reason: str) -> int:
    """Send none of these until they are released."""
    return len(_change(connection, "hold_together", ids, because("held back by an operator", reason)))


def discard(connection: apsw.Connection, ids: Sequence[int], *, reason: str) -> int:
    """Never send these."""
    return len(_end(connection, ids, because("discarded by an operator", reason)))


def reroute(connection: apsw.Connection, ids: Sequence[int], *, to: str) -> int:
    """Send these there instead. What goes there already is left as it is, and so is what is sent or ended by now."""
    ids = reroutable(connection, ids, to=to)
    now, asked = to_microseconds(datetime.now(UTC)), json.dumps(ids)
    added = run(connection, "reroute_together", ids=asked, destination=to, reason="sent here by an operator", now=now)
    _tell(connection, [row["id"] for row in added], now)
    return len(_end(connection, ids, f"sent to {to} instead, by an operator"))


def reroutable(connection: apsw.Connection, ids: Sequence[int], *, to: str) -> list[int]:
    """Those of these that can still be sent there instead."""
    found = run(connection, "reroutable", ids=json.dumps(list(ids)), destination=to)
    return [int(row["id"]) for row in found]


def _end(connection: apsw.Connection, ids: Sequence[int], reason: str) -> set[int]:
    done = _change(connection, "discard_together", ids, reason)
    run(connection, "settle_instances", ids=json.dumps(sorted(done)), now=to_microseconds(datetime.now(UTC)))
    return done


def _change(connection: apsw.Connection, statement: str, ids: Sequence[int], reason: str) -> set[int]:
    now = to_microseconds(datetime.now(UTC))
    found = run(connection, statement, ids=json.dumps(list(ids)), reason=reason, now=now)
    done = {int(row["id"]) for row in found}
    _tell(connection, [one for one in ids if one in done], now)
    return done


def _tell(connection: apsw.Connection, ids: Sequence[int], now: int) -> None:
    run(connection, "tell_together", ids=json.dumps(list(ids)), now=now)


def because(what: str, why: str) -> str:
    """The reason of a delivery that a person changed."""
    return f"{what}: {why}" if why else what
