"""The delivery queue: claims, leases and settlements. All that a process which delivers needs of the buffer."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path

import apsw

from edge.buffer import claims
from edge.buffer.database import Row, first, open_reader, run
from edge.buffer.outcomes import Outcomes
from edge.buffer.seal import to_microseconds
from edge.buffer.spool import Spool
from edge.buffer.states import DeliveryEvent, sources, target
from edge.buffer.transitions import Transition, take
from edge.buffer.writer import Writer
from edge.clock import SYSTEM, Clock
from edge.model import ClaimedDelivery, Priority

WAKE_NOTE = "lanes.wake"
"""Changes when a person wants resting destinations to be tried at once."""
LEASE = timedelta(minutes=15)
END_OF_TIME = 1 << 61
ABSURD = 86_400_000_000
"""A day, in microseconds: nothing waits that long, so a later time was written while the clock was wrong."""


def nobody() -> None:
    """Nobody waits to be told."""


class Deliveries:
    """The queue of every destination in the buffer of `data_dir`; several processes may use it at once."""

    def __init__(self, data_dir: Path, *, settled: Callable[[], None] = nobody, clock: Clock = SYSTEM) -> None:
        """`settled` is called, from a thread of ours, when deliveries have changed and the outbox has grown."""
        self.clock = clock
        self.spool = Spool(data_dir / "spool")
        self._path = data_dir / "edge.db"
        self._writer = Writer(self._path)
        self._local = threading.local()
        self._work = threading.Condition()
        self._additions = 0
        self._turns = claims.Turns()
        self._settled = settled
        self._outcomes = Outcomes(self._writer, settled)
        self._senders = os.open(data_dir / "edge.db.senders", os.O_RDWR | os.O_CREAT, 0o600)

    def sends(self) -> None:
        """From now on this process holds claims: no other one may take them for a dead process's."""
        fcntl.flock(self._senders, fcntl.LOCK_SH)

    def recover(self) -> int:
        """At start: what dead processes were sending is due again, unless a process lives that sends. How many."""
        try:
            fcntl.flock(self._senders, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        try:
            return self._expire(END_OF_TIME)
        finally:
            fcntl.flock(self._senders, fcntl.LOCK_UN)

    def take_over(self, destination: str) -> int:
        """What a dead process was sending there is due again; only for who now sends there alone. How many."""
        return self._expire(END_OF_TIME, destination)

    def claim(self, destination: str, limit: int, *, least: Priority = Priority.BULK) -> list[ClaimedDelivery]:
        """The next due deliveries of a destination in their order, each under a lease that expires by itself.

        Those of a lower priority than `least` stay where they are.
        """
        now = self.clock.now()
        moment = to_microseconds(now)
        absurd = moment + ABSURD
        (found,) = run(self._reader(), "anything_due", destination=destination, now=moment, absurd=absurd)
        if not found["due"]:
            return []

        def claim_due(connection: apsw.Connection) -> list[ClaimedDelivery]:
            run(connection, "elapse_backoff", destination=destination, now=moment, absurd=absurd)
            until = to_microseconds(now + LEASE)
            return claims.claim_due(
                connection,
                self._turns,
                destination=destination,
                limit=limit,
                now=moment,
                lease_until=until,
                least=least,
            )

        return self._writer.write(claim_due)

    def not_sent(self, destination: str, count: int) -> None:
        """So many of what was claimed here go back untried: nobody was passed over for them."""
        self._turns.given_back(destination, count)

    def most_urgent(self, destination: str) -> Priority | None:
        """The highest priority of what waits for a destination and could be claimed now."""
        now = to_microseconds(self.clock.now())
        (found,) = run(self._reader(), "most_urgent", destination=destination, now=now)
        return None if found["priority"] is None else Priority(found["priority"])

    def renew(self, delivery_ids: Sequence[int]) -> None:
        """Give these deliveries of a sender that still works a whole lease again, also when theirs has run out."""
        until = to_microseconds(self.clock.now() + LEASE)
        renewable = (*sources(DeliveryEvent.LEASE_EXPIRED), *sources(DeliveryEvent.CLAIMED))
        self._writer.write(
            lambda connection: run(
                connection,
                "renew_leases",
                ids=json.dumps(list(delivery_ids)),
                lease_until=until,
                target=target(DeliveryEvent.CLAIMED),
                sources=json.dumps(renewable),
            )
        )

    def settle(
        self,
        delivery_id: int,
        event: DeliveryEvent,
        *,
        reason: str = "",
        dimse_status: int = 0,
        not_before: datetime | None = None,
    ) -> None:
        """Take one transition and, in the same transaction, tell the outbox of it.

        Raises:
            IllegalTransition: the delivery is in a state that this event cannot happen in.
        """
        change = Transition(
            delivery_id=delivery_id, event=event, reason=reason, dimse_status=dimse_status, not_before=not_before
        )
        self._writer.write(lambda connection: take(connection, change))
        self._settled()

    def settle_soon(self, change: Transition) -> Future[None]:
        """The same without waiting: many of these share a commit, within a few hundredths of a second.

        The future ends when the transition is committed, or with what `settle` would have raised.
        """
        return self._outcomes.settle(change)

    def verifies(self, destination: str) -> bool:
        """Whether anything was sent there that it has not yet said to hold."""
        return first(self._reader(), "verifies", destination=destination) is not None

    def read(self, query: str, **values: object) -> list[Row]:
        """Rows of one named query (`proofs.py`)."""
        return run(self._reader(), query, **values)

    def write(self, change: Callable[[apsw.Connection], object]) -> None:
        """One change in a transaction of its own (`proofs.py`)."""
        self._writer.write(change)

    def expire_leases(self) -> int:
        """Give back the deliveries of a sender that has not settled them in time. Returns how many."""
        return self._expire(to_microseconds(self.clock.now()))

    def work_so_far(self) -> int:
        """A number that changes whenever deliveries are added."""
        return self._additions

    def wait_for_work(self, timeout: float, *, since: int | None = None) -> None:
        """Return when deliveries were added (since `work_so_far` gave that number), or after `timeout` seconds."""
        with self._work:
            before = self._additions if since is None else since
            self._work.wait_for(lambda: self._additions != before, timeout)

    def work_came(self) -> None:
        """Wake whoever waits for work."""
        with self._work:
            self._additions += 1
            self._work.notify_all()

    def set_note(self, key: str, value: str) -> None:
        """Keep a small fact for `skerry-edge status`."""
        now = to_microseconds(self.clock.now())
        self._writer.write(lambda connection: run(connection, "write_note", key=key, value=value, now=now))

    def note(self, key: str) -> str | None:
        """The fact last written under this key."""
        row = first(self._reader(), "read_note", key=key)
        return None if row is None else str(row["value"])

    def alive(self) -> bool:
        """Whether the writer still works."""
        return self._writer.alive()

    def close(self) -> None:
        """Finish every change that was asked for."""
        self._writer.close()
        os.close(self._senders)

    def _expire(self, until: int, destination: str | None = None) -> int:
        now = to_microseconds(self.clock.now())

        def expire(connection: apsw.Connection) -> int:
            run(connection, "expire_leases", now=now, until=until, absurd=until + ABSURD, destination=destination)
            return connection.changes()

        return self._writer.write(expire)

    def _reader(self) -> apsw.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = open_reader(self._path)
        connection: apsw.Connection = self._local.connection
        return connection
