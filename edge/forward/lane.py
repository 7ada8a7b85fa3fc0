"""A lane: one thread for one destination; claims, delivers, settles, and rests while the destination is down."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from edge import metrics
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.errors import IllegalTransition
from edge.forward.base import Accepted, DestinationDown, Forwarder, Outcome, Refused, TryLater
from edge.forward.retry import Backoff
from edge.health import DESTINATION_DOWN, HealthBoard
from edge.model import ClaimedDelivery

log = structlog.get_logger(__name__)
LOOK_AGAIN_SECONDS = 1.0
"""Also how late a requeue from another process is noticed."""


class Lane:
    """Everything that waits for one destination. Nothing that happens here touches another lane."""

    def __init__(
        self, name: str, forwarder: Forwarder, buffer: Buffer, health: HealthBoard, backoff: Backoff, batch: int
    ) -> None:
        self.name = name
        self._forwarder, self._buffer, self._health, self._backoff = forwarder, buffer, health, backoff
        self._batch = batch
        self._stopping = threading.Event()
        self._failures = 0
        self._down_since: datetime | None = None
        self._thread = threading.Thread(target=self._run, name=f"lane-{name}", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Finish the instance in flight, give the rest back; return after `timeout` seconds at the latest."""
        self._stopping.set()
        self._thread.join(timeout)

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._round():
                    self._buffer.wait_for_work(LOOK_AGAIN_SECONDS)
            except Exception:
                # A lane that dies is a stuck queue. What it held comes back when its lease ends.
                log.exception("lane.failed", destination=self.name)
                self._stopping.wait(LOOK_AGAIN_SECONDS)
        self._forwarder.close()

    def _round(self) -> bool:
        claimed = self._buffer.claim(self.name, self._batch)
        if not claimed:
            return False
        settled: set[int] = set()
        try:
            self._forwarder.deliver(claimed, lambda delivery, outcome: self._settle(delivery, outcome, settled))
            self._well()
        except DestinationDown as error:
            self._give_back(claimed, settled)
            self._down(error, progress=bool(settled))
        except _Stopping:
            self._give_back(claimed, settled)
        except Exception:
            # Whichever broke us stands first among the unsettled; it waits its turn, and the others go on without it.
            broken = next((one for one in claimed if one.delivery_id not in settled), None)
            if broken is not None:
                self._record(broken, TryLater(reason="sending it failed in a way that is a fault of ours; see the log"))
                settled.add(broken.delivery_id)
            self._give_back(claimed, settled)
            raise
        return True

    def _settle(self, delivery: ClaimedDelivery, outcome: Outcome, settled: set[int]) -> None:
        try:
            self._record(delivery, outcome)
        except IllegalTransition:
            # Its lease ran out while it was being sent, so it will be sent again: allowed, and better than losing it.
            log.warning("lane.lease_lost", destination=self.name, instance_id=delivery.sealed.instance_id)
        settled.add(delivery.delivery_id)
        if self._stopping.is_set():
            raise _Stopping

    def _record(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        match outcome:
            case Accepted():
                self._buffer.settle(
                    delivery.delivery_id,
                    DeliveryEvent.ACCEPTED,
                    reason=outcome.note,
                    dimse_status=outcome.status,
                )
                metrics.DELIVERIES.labels(destination=self.name, outcome="delivered").inc()
                metrics.DELIVERED_BYTES.labels(destination=self.name).inc(delivery.sealed.data_set_length)
            case TryLater():
                pause = self._backoff.pause(delivery.attempts, random.random)
                self._buffer.settle(
                    delivery.delivery_id,
                    DeliveryEvent.FAILED_TRANSIENTLY,
                    reason=outcome.reason,
                    dimse_status=outcome.status,
                    not_before=datetime.now(UTC) + timedelta(seconds=pause),
                )
                metrics.DELIVERIES.labels(destination=self.name, outcome="retry").inc()
                log.warning("delivery.retry", destination=self.name, attempt=delivery.attempts, delay_s=round(pause, 1))
            case Refused():
                self._buffer.settle(
                    delivery.delivery_id,
                    DeliveryEvent.REFUSED,
                    reason=outcome.reason,
                    dimse_status=outcome.status,
                )
                metrics.DELIVERIES.labels(destination=self.name, outcome="parked").inc()
                log.error(
                    "delivery.parked",
                    destination=self.name,
                    instance_id=delivery.sealed.instance_id,
                    reason=outcome.reason,
                    hint="Mend the cause, then `skerry-edge requeue`.",
                )

    def _give_back(self, claimed: Sequence[ClaimedDelivery], settled: set[int]) -> None:
        for delivery in claimed:
            if delivery.delivery_id not in settled:
                self._buffer.settle(delivery.delivery_id, DeliveryEvent.GIVEN_BACK)

    def _well(self) -> None:
        metrics.DESTINATION_UP.labels(destination=self.name).set(1)
        if self._failures:
            log.info("destination.up", destination=self.name)
            self._buffer.set_note(f"destination.{self.name}", "up")
        self._failures, self._down_since = 0, None
        self._health.clear(DESTINATION_DOWN.code, self.name)

    def _down(self, error: DestinationDown, *, progress: bool) -> None:
        self._failures = 1 if progress else self._failures + 1
        self._down_since = self._down_since or datetime.now(UTC)
        pause = self._backoff.pause(self._failures, random.random)
        text = f"{self.name} takes nothing since {self._down_since:%H:%M} UTC: {error}."
        metrics.DESTINATION_UP.labels(destination=self.name).set(0)
        self._health.raise_condition(DESTINATION_DOWN.saying(text, subject=self.name, hint=error.hint))
        self._buffer.set_note(f"destination.{self.name}", f"down since {self._down_since:%Y-%m-%dT%H:%MZ}: {error}")
        log.warning(
            "destination.down", destination=self.name, reason=str(error), hint=error.hint, delay_s=round(pause, 1)
        )
        self._stopping.wait(pause)


class _Stopping(Exception):
    """The node is stopping; what is not settled goes back."""
