"""The buffer's door: custody, rows, claims and settlements. Every stage meets the others only here.

Reading is not removing: a claim is a lease, an event leaves the outbox when the control plane has it, and a slot is
emptied when retention has proof that every destination answered success.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import apsw

from edge.buffer import rows
from edge.buffer.admission import admit_all
from edge.buffer.database import run
from edge.buffer.deliveries import Deliveries, nobody
from edge.buffer.duplicates import find_twins, replaced, waves
from edge.buffer.epoch import BOOT_NOTE, current_epoch, mark_boot, renew_epoch
from edge.buffer.eviction import Evictions
from edge.buffer.expected import done_with, forget_done, forget_with, studies_of
from edge.buffer.gathering import Gatherings
from edge.buffer.intake import Intake
from edge.buffer.part10 import FileMeta
from edge.buffer.reception import Reception
from edge.buffer.remembered import Remembered
from edge.buffer.seal import to_microseconds
from edge.buffer.slot_index import SlotIndex
from edge.buffer.telling import KEPT, Telling
from edge.buffer.transitions import Transition, take
from edge.clock import SYSTEM, Clock
from edge.errors import IllegalTransition
from edge.model import BufferCounts, OutboxEvent, Priority, RoutedInstance, SealedInstance

SCANNED_NOTE = "spool.scanned"
"""The epoch in which every file of the spool was last compared with the index."""
REMEMBERED = timedelta(days=30)
"""How long a trace knows of what has left the spool: without an end the index would grow for ever."""
PRUNED_TOGETHER = 200
CHECKPOINT_BYTES = 16 << 20
"""The length of WAL from which the node checkpoints by itself; a replicator that does so earlier finds no contest."""


class Buffer(Deliveries):
    """One node's buffer in `data_dir`: `spool/`, `edge.db`, `epoch`.

    `ready_bytes` of the disk may wait in empty slots; with 0 no file is used again. `admitted` is called when
    deliveries were added, for who waits in other processes. One process has this; the others have `Deliveries`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ready_bytes: int = 0,
        admitted: Callable[[], None] = nobody,
        clock: Clock = SYSTEM,
    ) -> None:
        self._outbox = threading.Event()
        super().__init__(data_dir, settled=self.outbox_grew, clock=clock)
        self._admitted = admitted
        self.slots = SlotIndex(self._reader, self._writer, ready_bytes)
        self.evictions = Evictions(self._reader, self._writer)
        self.remembered = Remembered(data_dir, self._reader, self._writer)
        self.telling = Telling(self._reader, self._writer)
        self.gatherings = Gatherings(self._reader, self._writer, self._wake)
        self._intake: Intake | None = None
        self._intake_lock = threading.Lock()
        self._arrivals: queue.SimpleQueue[SealedInstance] = queue.SimpleQueue()
        self._arrived_at = 0.0
        self.epoch: int = current_epoch(data_dir / "epoch", self._path, self.note(BOOT_NOTE))
        self.set_note(BOOT_NOTE, mark_boot(data_dir / "epoch"))

    def new_epoch(self) -> None:
        """Take another epoch, for good: what the outbox holds is new to the control plane under it."""
        known = not self.needs_full_scan()
        self.epoch = renew_epoch(self._path.with_name("epoch"))
        if known:
            self.scanned()

    def needs_full_scan(self) -> bool:
        """Whether this database is new, restored or a copy, so that any file may hold what it does not know."""
        return self.note(SCANNED_NOTE) != str(self.epoch)

    def scanned(self) -> None:
        """Every file of the spool was compared with this very database."""
        self.set_note(SCANNED_NOTE, str(self.epoch))

    # custody

    def receive(self, meta: FileMeta) -> Reception:
        """Start taking an instance into custody; `Reception.seal` is the moment of custody."""
        with self._intake_lock:
            if self._intake is None:
                self._intake = Intake(self._path.parent)
                self._intake.start()
        return self._intake.begin(meta)

    def arrived(self, sealed: SealedInstance) -> None:
        """Tell routing of an instance in custody. Never blocks: the sealed file is already safe."""
        self._arrived_at = time.monotonic()
        self._arrivals.put(sealed)

    def quiet_seconds(self) -> float:
        """How long nothing has come in."""
        return time.monotonic() - self._arrived_at

    def behind(self) -> bool:
        """Whether instances wait for their row."""
        return not self._arrivals.empty()

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
        added = 0
        for wave in waves(routed):
            twins = find_twins(self._reader(), self.spool, wave)
            change = partial(admit_all, wave=wave, twins=twins, now=now, remembers=self.remembered.is_needed)
            added += self._writer.write(change)
        self._wake()
        return added

    # outbox

    def read_outbox(self, limit: int) -> Sequence[OutboxEvent]:
        """The oldest events that the control plane has not acknowledged. Reading removes nothing."""
        return self.telling.read(limit)

    def told(self) -> int:
        """The last event that the control plane acknowledged under this epoch; 0 when there is none."""
        return self.telling.told(self.epoch)

    def acknowledge(self, sequence: int) -> None:
        """The control plane has committed events up to here: they wait no longer."""
        self.telling.acknowledge(sequence, self.epoch)

    def tell_again(self, known: int) -> None:
        """The control plane has events only up to `known`, though it acknowledged more: the others wait again."""
        self.telling.tell_again(known, now=to_microseconds(datetime.now(UTC)))
        self.outbox_grew()

    def set_aside(self, sequence: int, reason: str) -> None:
        """Keep an event that the control plane cannot take, out of the way of all others, for a person."""
        self.telling.set_aside(sequence, reason)

    def outbox_grew(self) -> None:
        """Wake whoever waits for the outbox."""
        self._outbox.set()

    def wait_for_outbox(self, timeout: float) -> bool:
        """Whether an event was added within `timeout` seconds."""
        added = self._outbox.wait(timeout)
        self._outbox.clear()
        return added

    # facts

    def counts(self) -> BufferCounts:
        """How full the buffer is."""
        return rows.counts(run(self._reader(), "counts")[0], datetime.now(UTC))

    def tally(self) -> dict[tuple[str, Priority], int]:
        """Every delivery that has a row, by state and priority; each is in exactly one of these states."""
        return rows.tally(run(self._reader(), "tally"))

    def waiting_by_destination(self) -> dict[str, int]:
        """Deliveries that are not delivered, by destination."""
        return {row["destination"]: row["deliveries"] for row in run(self._reader(), "waiting_by_destination")}

    def known(self, instance_ids: Sequence[str]) -> dict[str, bool]:
        """Which of these instances have a row, and whether its spool file should be there."""
        found = run(self._reader(), "known_ids", ids=json.dumps(instance_ids))
        return {row["instance_id"]: bool(row["held"]) for row in found}

    def unrouted(self, limit: int) -> list[SealedInstance]:
        """The oldest instances whose row waits for a policy."""
        return [rows.sealed(row) for row in run(self._reader(), "unrouted", limit=limit)]

    def release_delivered(self, keep: timedelta, limit: int = 500) -> int:
        """Give back the room of instances delivered everywhere and kept for `keep`; return how many."""
        self._supersede_late()
        now = datetime.now(UTC)
        before = to_microseconds(now - keep)
        done = run(self._reader(), "retainable", before=before, limit=limit)
        if done:
            ids = [row["id"] for row in done]
            self._writer.write(lambda connection: _mark_released(connection, ids, to_microseconds(now)))
        self.slots.leave(self.spool, limit)
        return len(done)

    def prune(self, limit: int = PRUNED_TOGETHER) -> int:
        """Forget some of what left the spool long ago, and of what was told; return how many instances.

        A trace ends with them.
        """
        now = datetime.now(UTC)
        self.telling.forget(to_microseconds(now - KEPT))
        before = to_microseconds(now - REMEMBERED)
        done = done_with(self._reader(), now)
        if done is not None:
            self._writer.write(partial(forget_done, ids=done, now=now))
        old = json.dumps([row["id"] for row in run(self._reader(), "long_gone", before=before, limit=limit)])
        if old == "[]":
            return 0

        def forget(connection: apsw.Connection) -> int:
            run(connection, "forget_proofs", ids=old)
            run(connection, "forget_deliveries", ids=old)
            run(connection, "forget_fixes", ids=old)
            studies = studies_of(connection, old)
            run(connection, "forget_instances", ids=old)
            forgotten = connection.changes()
            forget_with(connection, studies)
            return forgotten

        return self._writer.write(forget)

    def bound_wal(self) -> None:
        """Move a long WAL into the database as far as readers and a replicator allow; never blocks a writer."""
        wal = self._path.with_name(self._path.name + "-wal")
        if wal.exists() and wal.stat().st_size > CHECKPOINT_BYTES:
            self._writer.checkpoint()

    def close(self) -> None:
        """Finish every change that was asked for."""
        if self._intake is not None:
            self._intake.stop()
        super().close()

    def _supersede_late(self) -> None:
        """Older objects whose sender died, or whose lease ran out, while a newer one took their place."""
        for row in run(self._reader(), "overtaken"):
            self._writer.write(partial(_take_if_possible, change=replaced(row["id"])))

    def _wake(self) -> None:
        self._outbox.set()
        self.work_came()
        self._admitted()


def _take_if_possible(connection: apsw.Connection, change: Transition) -> None:
    with suppress(IllegalTransition):
        take(connection, change)


def _mark_released(connection: apsw.Connection, ids: Sequence[int], now: int) -> None:
    for row_id in ids:
        run(connection, "mark_released", id=row_id, now=now)
