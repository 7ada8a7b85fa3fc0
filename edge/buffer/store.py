"""The buffer's door: custody, rows, claims and settlements. Every stage meets the others only here.

Reading is not removing: a claim is a lease, an event leaves the outbox when the control plane has it, and a spool
file goes when retention has proof that every destination answered success.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw

from edge.buffer import rows
from edge.buffer.database import first, open_reader, run
from edge.buffer.epoch import BOOT_NOTE, current_epoch, mark_boot, renew_epoch
from edge.buffer.part10 import FileMeta
from edge.buffer.seal import to_microseconds
from edge.buffer.spool import Reception, Spool
from edge.buffer.states import DeliveryEvent, sources, target
from edge.buffer.transitions import Transition, take
from edge.buffer.writer import Writer
from edge.model import BufferCounts, ClaimedDelivery, OutboxEvent, RoutedInstance, SealedInstance

WAKE_NOTE = "lanes.wake"
"""Changes when a person wants resting destinations to be tried at once."""
LEASE = timedelta(minutes=15)
END_OF_TIME = 1 << 61
ABSURD = 86_400_000_000
"""A day, in microseconds: nothing waits that long, so a later time was written while the clock was wrong."""
CHECKPOINT_BYTES = 16 << 20
"""The length of WAL from which the node checkpoints by itself; a replicator that does so earlier finds no contest."""


class Buffer:
    """One node's buffer in `data_dir`: `spool/`, `edge.db`, `epoch`."""

    def __init__(self, data_dir: Path) -> None:
        self.spool = Spool(data_dir / "spool")
        self._path = data_dir / "edge.db"
        self._writer = Writer(self._path)
        self._local = threading.local()
        self._arrivals: queue.SimpleQueue[SealedInstance] = queue.SimpleQueue()
        self._work = threading.Condition()
        self._outbox = threading.Event()
        self.epoch: int = current_epoch(data_dir / "epoch", self._path, self.note(BOOT_NOTE))
        self.set_note(BOOT_NOTE, mark_boot(data_dir / "epoch"))

    def new_epoch(self) -> None:
        """Take another epoch, for good: what the outbox holds is new to the control plane under it."""
        self.epoch = renew_epoch(self._path.with_name("epoch"))

    # custody

    def receive(self, meta: FileMeta) -> Reception:
        """Start taking an instance into custody; `Reception.seal` is the moment of custody."""
        return self.spool.begin(meta)

    def arrived(self, sealed: SealedInstance) -> None:
        """Tell routing of an instance in custody. Never blocks: the sealed file is already safe."""
        self._arrivals.put(sealed)

    def next_arrivals(self, limit: int, timeout: float) -> list[SealedInstance]:
        """Instances that wait for their row, oldest first; empty when none came within `timeout` seconds."""
        found: list[SealedInstance] = []
        try:
            found.append(self._arrivals.get(timeout=timeout))
            while len(found) < limit:
                found.append(self._arrivals.get_nowait())
        except queue.Empty:
            pass
        return found

    def admit(self, routed: Sequence[RoutedInstance]) -> int:
        """Commit rows, deliveries and outbox events of these instances together; return how many were new."""
        now = to_microseconds(datetime.now(UTC))
        added = self._writer.write(lambda connection: sum(_admit(connection, one, now) for one in routed))
        self._wake()
        return added

    # deliveries

    def claim(self, destination: str, limit: int) -> list[ClaimedDelivery]:
        """The oldest due deliveries of a destination, each under a lease that expires by itself."""
        now = datetime.now(UTC)

        def claim_due(connection: apsw.Connection) -> list[ClaimedDelivery]:
            moment = to_microseconds(now)
            run(
                connection,
                "elapse_backoff",
                destination=destination,
                now=moment,
                absurd=moment + ABSURD,
                target=target(DeliveryEvent.BACKOFF_ELAPSED),
                sources=json.dumps(sources(DeliveryEvent.BACKOFF_ELAPSED)),
            )
            ids = run(
                connection,
                "claim",
                destination=destination,
                limit=limit,
                now=moment,
                lease_until=to_microseconds(now + LEASE),
                target=target(DeliveryEvent.CLAIMED),
                sources=json.dumps(sources(DeliveryEvent.CLAIMED)),
            )
            return rows.claimed(run(connection, "claimed", ids=json.dumps([row["id"] for row in ids])))

        return self._writer.write(claim_due)

    def renew(self, delivery_ids: Sequence[int]) -> None:
        """Give these deliveries of a sender that still works a whole lease again, also when theirs has run out."""
        until = to_microseconds(datetime.now(UTC) + LEASE)
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
            delivery_id=delivery_id,
            event=event,
            reason=reason,
            dimse_status=dimse_status,
            not_before=not_before,
        )
        self._writer.write(lambda connection: take(connection, change))
        self._outbox.set()

    def recover(self) -> int:
        """At start, and only then: what the dead process was sending is due again. Returns how many."""
        return self._expire(END_OF_TIME)

    def expire_leases(self) -> int:
        """Give back the deliveries of a sender that has not settled them in time. Returns how many."""
        return self._expire(to_microseconds(datetime.now(UTC)))

    def wait_for_work(self, timeout: float) -> None:
        """Return when deliveries were added, or after `timeout` seconds."""
        with self._work:
            self._work.wait(timeout)

    # outbox

    def read_outbox(self, limit: int) -> Sequence[OutboxEvent]:
        """The oldest events that the control plane has not acknowledged. Reading removes nothing."""
        return rows.events(run(self._reader(), "pending_events", limit=limit))

    def acknowledge(self, sequence: int) -> None:
        """Forget events up to here: the control plane has committed them."""
        self._writer.write(lambda connection: run(connection, "acknowledge", sequence=sequence))

    def set_aside(self, sequence: int, reason: str) -> None:
        """Keep an event that the control plane cannot take, out of the way of all others, for a person."""
        self._writer.write(
            lambda connection: run(connection, "set_aside", sequence=sequence, reason=reason),
        )

    def forget_events(self, keep: int) -> None:
        """Keep only the newest events: for a node that has no control plane to tell them to."""
        self._writer.write(lambda connection: run(connection, "forget_events", keep=keep))

    def set_aside_count(self) -> int:
        """How many events wait for a person."""
        return int(run(self._reader(), "set_aside_count")[0]["events"])

    def wait_for_outbox(self, timeout: float) -> bool:
        """Whether an event was added within `timeout` seconds."""
        added = self._outbox.wait(timeout)
        self._outbox.clear()
        return added

    # facts

    def counts(self) -> BufferCounts:
        """How full the buffer is."""
        return rows.counts(run(self._reader(), "counts")[0], datetime.now(UTC))

    def waiting_by_destination(self) -> dict[str, int]:
        """Deliveries that are not delivered, by destination."""
        return {row["destination"]: row["deliveries"] for row in run(self._reader(), "waiting_by_destination")}

    def set_note(self, key: str, value: str) -> None:
        """Keep a small fact for `skerry-edge status`."""
        now = to_microseconds(datetime.now(UTC))
        self._writer.write(lambda connection: run(connection, "write_note", key=key, value=value, now=now))

    def note(self, key: str) -> str | None:
        """The fact last written under this key."""
        row = first(self._reader(), "read_note", key=key)
        return None if row is None else str(row["value"])

    def known(self, instance_ids: Sequence[str]) -> dict[str, bool]:
        """Which of these instances have a row, and whether its spool file should be there."""
        found = run(self._reader(), "known_ids", ids=json.dumps(instance_ids))
        return {row["instance_id"]: bool(row["held"]) for row in found}

    def unrouted(self, limit: int) -> list[SealedInstance]:
        """The oldest instances whose row waits for a policy."""
        return [rows.sealed(row) for row in run(self._reader(), "unrouted", limit=limit)]

    def release_delivered(self, keep: timedelta, limit: int = 500) -> int:
        """Give back the room of instances delivered everywhere and kept for `keep`; return how many."""
        now = datetime.now(UTC)
        before = to_microseconds(now - keep)
        done = run(self._reader(), "retainable", before=before, limit=limit)
        if done:
            ids = [row["id"] for row in done]
            self._writer.write(lambda connection: _mark_released(connection, ids, to_microseconds(now)))
        for row in done:
            self.spool.release(row["instance_id"])
        return len(done)

    def bound_wal(self) -> None:
        """Move a long WAL into the database as far as readers and a replicator allow; never blocks a writer."""
        wal = self._path.with_name(self._path.name + "-wal")
        if wal.exists() and wal.stat().st_size > CHECKPOINT_BYTES:
            self._writer.checkpoint()

    def alive(self) -> bool:
        """Whether the writer still works."""
        return self._writer.alive()

    def close(self) -> None:
        """Finish every change that was asked for."""
        self._writer.close()

    def _expire(self, moment: int) -> int:
        event = DeliveryEvent.LEASE_EXPIRED

        def expire(connection: apsw.Connection) -> int:
            run(
                connection,
                "expire_leases",
                now=moment,
                absurd=moment + ABSURD,
                target=target(event),
                sources=json.dumps(sources(event)),
            )
            return connection.changes()

        return self._writer.write(expire)

    def _reader(self) -> apsw.Connection:
        if not hasattr(self._local, "connection"):
            self._local.connection = open_reader(self._path)
        connection: apsw.Connection = self._local.connection
        return connection

    def _wake(self) -> None:
        self._outbox.set()
        with self._work:
            self._work.notify_all()


def _admit(connection: apsw.Connection, routed: RoutedInstance, now: int) -> bool:
    added = first(connection, "add_instance", **rows.instance_values(routed))
    if added is None:
        return False
    for destination in routed.decision.destinations:
        run(connection, "add_delivery", instance=added["id"], destination=destination, now=now)
    if not routed.decision.policy:
        return True  # without a policy there is no privacy rule yet, so nothing is told
    run(
        connection,
        "add_event",
        kind="instance_received",
        now=now,
        body=json.dumps(rows.received_body(routed)),
    )
    return True


def _mark_released(connection: apsw.Connection, ids: Sequence[int], now: int) -> None:
    for row_id in ids:
        run(connection, "mark_released", id=row_id, now=now)
