"""The slow round of a node: retention, leases, the write-ahead log, and the gauges."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import structlog

from edge import metrics
from edge.buffer.store import Buffer
from edge.health import DELIVERIES_PARKED, SPOOL_DAMAGED, HealthBoard

log = structlog.get_logger(__name__)
ROUND_SECONDS = 2.0
EVENTS_WITHOUT_CENTRE = 10_000
"""Enough to tell a control plane of the last days when a lone node is enrolled, and never a full disk."""


class Housekeeping:
    """One thread that does small things every two seconds."""

    def __init__(
        self,
        buffer: Buffer,
        health: HealthBoard,
        keep_delivered: Callable[[], timedelta | None],
        *,
        has_centre: bool,
    ) -> None:
        self._buffer, self._health, self._keep, self._has_centre = buffer, health, keep_delivered, has_centre
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
        counts = self._buffer.counts()
        metrics.INSTANCES_HELD.set(counts.instances_held)
        metrics.DELIVERIES_WAITING.set(counts.deliveries_waiting)
        metrics.DELIVERIES_PARKED.set(counts.deliveries_parked)
        metrics.OLDEST_WAITING_SECONDS.set(counts.oldest_waiting_seconds)
        metrics.OUTBOX_EVENTS.set(counts.outbox_events)
        metrics.SPOOL_FREE_BYTES.set(self._buffer.spool.room()[0])
        if counts.deliveries_parked:
            text = f"{counts.deliveries_parked} deliveries were refused for good and wait for a person."
            self._health.raise_condition(DELIVERIES_PARKED.saying(text))
        else:
            self._health.clear(DELIVERIES_PARKED.code)
        if damaged := self._buffer.spool.damaged_count():
            text = f"{damaged} spool files did not match their seal and were set aside."
            self._health.raise_condition(SPOOL_DAMAGED.saying(text))
        metrics.HEALTH_CONDITIONS.clear()
        for condition in self._health.current():
            metrics.HEALTH_CONDITIONS.labels(code=condition.code, severity=condition.severity).inc()

    def _run(self) -> None:
        while not self._stopping.wait(ROUND_SECONDS):
            try:
                self._buffer.expire_leases()
                keep = self._keep()
                if keep is not None:
                    self._buffer.release_delivered(keep)
                if not self._has_centre:
                    self._buffer.forget_events(EVENTS_WITHOUT_CENTRE)
                self._buffer.bound_wal()
                self.refresh()
            except Exception:
                log.exception("housekeeping.failed")
