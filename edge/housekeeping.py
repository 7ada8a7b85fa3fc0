"""The slow round of a node: retention, leases, the write-ahead log, and the gauges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Set
from datetime import UTC, datetime, timedelta

import structlog

from edge import metrics
from edge.buffer.came_back import LOOP_NOTE
from edge.buffer.seal import to_microseconds
from edge.buffer.slot_maker import SlotMaker
from edge.buffer.store import Buffer
from edge.health import (
    DELIVERIES_PARKED,
    DELIVERIES_QUARANTINED,
    DESTINATION_UNKNOWN,
    DISK_ABOVE_MARK,
    IMAGES_COME_BACK,
    NO_ROUTE,
    SPOOL_DAMAGED,
    SPOOL_FULL,
    HealthBoard,
)
from edge.policy.document import Policy

log = structlog.get_logger(__name__)
ROUND_SECONDS = 2.0
QUIET_SECONDS = 1.0
FILLING_SECONDS = 4.0
"""How long slots are made in one go while there were never enough of them; then everything else has its turn."""
AT_ONCE, AT_ONCE_WHEN_BUSY = 500, 25
"""Instances that leave their slots in one round. Wiping a slot waits for the disk, as answering a modality does; while
images come in, only so much is wiped that the disk cannot fill."""
FRUITLESS_SECONDS = 5.0
"""Until the next look for delivered studies, when there were none and the disk is too full."""
LOOP_SHOWN = timedelta(minutes=15)
"""How long after the last one that came back a loop is still told of."""
EVENTS_WITHOUT_CENTRE = 10_000
"""Enough to tell a control plane of the last days when a lone node is enrolled, and never a full disk."""


class Housekeeping:
    """One thread that does small things every two seconds."""

    def __init__(
        self,
        buffer: Buffer,
        health: HealthBoard,
        policy: Callable[[], Policy | None],
        *,
        has_centre: bool,
        min_free_bytes: int,
        slots: SlotMaker,
    ) -> None:
        self._min_free_bytes, self._slots = min_free_bytes, slots
        self._buffer, self._health, self._policy, self._has_centre = buffer, health, policy, has_centre
        self._filled = False
        """Whether there were as many empty slots as are wanted, once since the start."""
        self._evict_at = 0.0
        self._unknown: Set[str] = set()
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the round that runs."""
        self._stopping.set()
        self._thread.join(timeout)

    def refresh(self) -> None:
        """Bring gauges and conditions up to now."""
        with self._refreshing:
            self._refresh()

    def prepare_slots(self) -> None:
        """At first as fast as the disk takes them, later some in each round; only while nothing comes in."""
        missing, until = self._slots.missing_bytes(), time.monotonic() + FILLING_SECONDS
        while missing and self._buffer.quiet_seconds() > QUIET_SECONDS and not self._stopping.is_set():
            made = self._slots.round()
            missing = self._slots.missing_bytes()
            if not made or self._filled or time.monotonic() > until:
                break
        self._filled = self._filled or not missing
        metrics.SLOT_BYTES_MISSING.set(missing)

    def _refresh(self) -> None:
        counts = self._buffer.counts()
        metrics.INSTANCES_NOWHERE.set(counts.instances_nowhere)
        metrics.INSTANCES_HELD.set(counts.instances_held)
        metrics.DELIVERIES_WAITING.set(counts.deliveries_waiting)
        metrics.DELIVERIES_PARKED.set(counts.deliveries_parked)
        metrics.DELIVERIES_QUARANTINED.set(counts.deliveries_quarantined)
        for standing, instances in counts.standings.items():
            metrics.INSTANCES_STANDING.labels(standing=standing).set(instances)
        for (state, priority), deliveries in self._buffer.tally().items():
            metrics.DELIVERIES_HELD.labels(state=state, priority=priority.word).set(deliveries)
        metrics.OLDEST_WAITING_SECONDS.set(counts.oldest_waiting_seconds)
        metrics.OUTBOX_EVENTS.set(counts.outbox_events)
        free = self._buffer.spool.room()[0]
        metrics.SPOOL_FREE_BYTES.set(free)
        if free < self._min_free_bytes:
            self._health.raise_condition(SPOOL_FULL)
        else:
            self._health.clear(SPOOL_FULL.code)
        if counts.deliveries_parked:
            text = f"{counts.deliveries_parked} deliveries were refused for good and wait for a person."
            self._health.raise_condition(DELIVERIES_PARKED.saying(text))
        else:
            self._health.clear(DELIVERIES_PARKED.code)
        if counts.deliveries_quarantined:
            text = f"{counts.deliveries_quarantined} deliveries are quarantined: their objects need mending."
            self._health.raise_condition(DELIVERIES_QUARANTINED.saying(text))
        else:
            self._health.clear(DELIVERIES_QUARANTINED.code)
        if damaged := self._buffer.spool.damaged_count():
            text = f"{damaged} spool files did not match their seal and were set aside."
            self._health.raise_condition(SPOOL_DAMAGED.saying(text))
        else:
            self._health.clear(SPOOL_DAMAGED.code)
        if counts.instances_nowhere and self._policy() is not None:
            text = f"{counts.instances_nowhere} held instances match no route of the policy; they go nowhere."
            self._health.raise_condition(NO_ROUTE.saying(text))
        else:
            self._health.clear(NO_ROUTE.code)

    def _give_room_back(self, policy: Policy | None) -> None:
        scarce = self._buffer.spool.room()[0] < 2 * self._min_free_bytes
        limit = AT_ONCE if scarce or self._buffer.quiet_seconds() > QUIET_SECONDS else AT_ONCE_WHEN_BUSY
        if policy is None:
            self._buffer.slots.leave(self._buffer.spool, limit)  # what came twice
        else:
            self._evict(policy)
            self._buffer.release_delivered(policy.keep_delivered, limit)

    def _evict(self, policy: Policy) -> None:
        """Above the high mark delivered studies leave before their time. What nobody has yet stays on any disk."""
        marks, (free, total) = policy.watermarks, self._buffer.spool.room()
        if marks is None:
            self._health.clear(DISK_ABOVE_MARK.code)
            return
        if time.monotonic() < self._evict_at:
            return
        free += self._buffer.slots.empty_bytes()
        if not marks.excess(free=free, total=total, least_free=self._min_free_bytes):
            self._health.clear(DISK_ABOVE_MARK.code)
            return
        leaving = self._buffer.evictions.leaving_bytes()
        excess = marks.excess(free=free + leaving, total=total, least_free=self._min_free_bytes)
        gone = self._buffer.evictions.evict(excess, to_microseconds(datetime.now(UTC)))
        metrics.INSTANCES_EVICTED.inc(gone)
        if gone:
            log.info("retention.evicted", instances=gone, free_bytes=free, high_water=marks.high)
        elif excess and not leaving:
            used = 100 * (total - free) // max(total, 1)
            text = f"The spool's disk is {used} % full, above {marks.high} %, and nothing delivered is left to go."
            self._health.raise_condition(DISK_ABOVE_MARK.saying(text))
            self._evict_at = time.monotonic() + FRUITLESS_SECONDS

    def _look_for_unknown_destinations(self, policy: Policy) -> None:
        named = {destination.name for destination in policy.destinations}
        waiting = self._buffer.waiting_by_destination()
        unknown = waiting.keys() - named
        for name in self._unknown - unknown:
            self._health.clear(DESTINATION_UNKNOWN.code, name)
        self._unknown = unknown
        for name in unknown:
            text = f"{waiting[name]} deliveries wait for {name}, which the policy no longer names."
            self._health.raise_condition(DESTINATION_UNKNOWN.saying(text, subject=name))

    def _look_for_loops(self, policy: Policy) -> None:
        for name in (destination.name for destination in policy.destinations):
            last = self._buffer.note(LOOP_NOTE + name)
            if last is not None and datetime.now(UTC) - datetime.fromisoformat(last) < LOOP_SHOWN:
                text = f"Images that {name} has come back from it; they are kept, and not sent there again."
                self._health.raise_condition(IMAGES_COME_BACK.saying(text, subject=name))
            else:
                self._health.clear(IMAGES_COME_BACK.code, name)

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_SECONDS):
            try:
                self._buffer.expire_leases()
                self._buffer.prune()
                policy = self._policy()
                self._give_room_back(policy)
                if policy is not None:
                    self._look_for_unknown_destinations(policy)
                    self._look_for_loops(policy)
                if not self._has_centre:
                    self._buffer.telling.keep_newest(EVENTS_WITHOUT_CENTRE)
                self._buffer.bound_wal()
                self.refresh()
                self.prepare_slots()
            except Exception:
                log.exception("housekeeping.failed")
        self._slots.close()
