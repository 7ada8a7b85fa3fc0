"""Outcomes of deliveries that nobody waits for: those of a moment become one change, and successes three statements.

A fast destination answers thousands of times a second; one change for each costs more than the sending itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial

import apsw

from edge.buffer.database import run
from edge.buffer.seal import to_microseconds
from edge.buffer.states import DeliveryEvent
from edge.buffer.transitions import Transition, take
from edge.buffer.writer import Writer
from edge.errors import IllegalTransition

_Asked = tuple[Transition, "Future[None]"]
_Errors = dict[int, Exception]
"""What went wrong, by the place of the transition."""


class Outcomes:
    """Collects transitions while the writer waits for more of them."""

    def __init__(self, writer: Writer, told: Callable[[], None]) -> None:
        """`told` is called, from the writer's thread, when some are committed."""
        self._writer, self._told = writer, told
        self._lock = threading.Lock()
        self._waiting: list[_Asked] = []

    def settle(self, change: Transition) -> Future[None]:
        """Take one transition soon; the future ends when it is committed, or with what `take` raised."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((change, future))
            if len(self._waiting) > 1:
                return future  # it goes with those that wait already
        taken: list[_Asked] = []
        written = self._writer.write_soon(partial(self._take_waiting, taken))
        written.add_done_callback(partial(self._end, taken))
        return future

    def _take_waiting(self, taken: list[_Asked], connection: apsw.Connection) -> _Errors:
        taken += self._leave()
        return take_together(connection, [change for change, _future in taken])

    def _leave(self) -> list[_Asked]:
        with self._lock:
            leaving, self._waiting = self._waiting, []
        return leaving

    def _end(self, taken: list[_Asked], written: Future[_Errors]) -> None:
        failure = written.exception()
        errors = {} if failure is not None else written.result()
        for place, (_change, future) in enumerate(taken or self._leave()):
            error = failure or errors.get(place)
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        self._told()


def take_together(connection: apsw.Connection, changes: Sequence[Transition]) -> _Errors:
    """Take all of these that can be taken; one that cannot spoils no other.

    Raises:
        apsw.FullError: the disk has no room for any.
    """
    successes: dict[tuple[str, int], list[int]] = {}
    alone: list[int] = []
    for place, change in enumerate(changes):
        if change.event is DeliveryEvent.ACCEPTED:
            successes.setdefault((change.reason, change.dimse_status), []).append(place)
        else:
            alone.append(place)
    errors: _Errors = {}
    for places in successes.values():
        try:
            with connection:  # a savepoint
                errors |= _deliver(connection, changes, places)
        except apsw.FullError:
            raise
        except apsw.Error:
            alone += places
    for place in alone:
        try:
            with connection:
                take(connection, changes[place])
        except apsw.FullError:
            raise
        except Exception as error:
            errors[place] = error
    return errors


def _deliver(connection: apsw.Connection, changes: Sequence[Transition], places: Sequence[int]) -> _Errors:
    now = to_microseconds(datetime.now(UTC))
    like = changes[places[0]]
    asked = [changes[place].delivery_id for place in places]
    found = run(
        connection,
        "deliver_together",
        ids=json.dumps(asked),
        reason=like.reason,
        dimse_status=like.dimse_status,
        now=now,
    )
    done = {row["id"] for row in found}
    ids = json.dumps([one for one in asked if one in done])
    run(connection, "settle_instances", ids=ids, now=now)
    run(connection, "tell_together", ids=ids, now=now)
    return {
        place: IllegalTransition(f"delivery {one} cannot be {like.event} now")
        for place, one in zip(places, asked, strict=True)
        if one not in done
    }
