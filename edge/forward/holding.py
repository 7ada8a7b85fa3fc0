"""What one lane holds: claimed under a lease, settled or given back, and owed while the database does not take it."""

from __future__ import annotations

import random
import time
from collections import deque
from datetime import UTC, datetime, timedelta

import structlog

from edge import metrics
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.errors import IllegalTransition
from edge.forward.base import Accepted, Outcome, Refused, TryLater
from edge.forward.retry import Backoff
from edge.model import ClaimedDelivery

log = structlog.get_logger(__name__)
RENEW_SECONDS = 60.0
"""A small part of a lease, and seldom enough to cost nothing."""


class Unrecorded(Exception):
    """The database does not take outcomes now; they are owed to it and not forgotten."""


class Holding:
    """The deliveries of one lane between its claim and their end. Used by the lane's thread only."""

    def __init__(self, name: str, buffer: Buffer, backoff: Backoff, renew_seconds: float) -> None:
        self._name, self._buffer, self._backoff, self._renew_seconds = name, buffer, backoff, renew_seconds
        self._held: dict[int, ClaimedDelivery] = {}
        self._owed: deque[tuple[ClaimedDelivery, Outcome | None]] = deque()
        self._renewed = 0.0

    def claim(self, limit: int) -> list[ClaimedDelivery]:
        """Hold the next deliveries, after another try to write down what is owed."""
        self.pay_what_can_be_paid()
        claimed = self._buffer.claim(self._name, limit)
        self._held = {one.delivery_id: one for one in claimed}
        self._renewed = time.monotonic()
        return claimed

    def __len__(self) -> int:
        """How many are neither settled nor given back."""
        return len(self._held)

    def oldest(self) -> ClaimedDelivery | None:
        """The first that is neither settled nor given back."""
        return next(iter(self._held.values()), None)

    def settle(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        """Write down how this delivery ended.

        Raises:
            Unrecorded: the database did not take it; it is owed.
        """
        held = list(self._held)
        self._held.pop(delivery.delivery_id, None)
        self._owed.append((delivery, outcome))
        try:
            self._renew(held)
            self._pay()
        except Exception as error:
            raise Unrecorded from error

    def give_back(self) -> None:
        """Put everything that is still held back into the queue, as if it had never been claimed."""
        self._owed.extend((one, None) for one in self._held.values())
        self._held = {}
        self.pay_what_can_be_paid()

    def pay_what_can_be_paid(self) -> None:
        """Write down what is owed; what the database does not take now stays owed."""
        try:
            self._pay()
        except Exception:
            log.exception("lane.cannot_settle", destination=self._name, owed=len(self._owed))
            self._owed.rotate(-1)  # one that can never be written must not stand before the others for ever

    def _pay(self) -> None:
        while self._owed:
            delivery, outcome = self._owed[0]
            try:
                self._record(delivery, outcome)
            except IllegalTransition:
                # Its lease ran out and somebody else has taken it on: it may be sent twice, and is not lost.
                log.warning("lane.lease_lost", destination=self._name, instance_id=delivery.sealed.instance_id)
            self._owed.popleft()

    def _renew(self, delivery_ids: list[int]) -> None:
        if time.monotonic() - self._renewed > self._renew_seconds:
            self._buffer.renew(delivery_ids)
            self._renewed = time.monotonic()

    def _record(self, delivery: ClaimedDelivery, outcome: Outcome | None) -> None:
        match outcome:
            case None:
                self._buffer.settle(delivery.delivery_id, DeliveryEvent.GIVEN_BACK)
            case Accepted():
                self._delivered(delivery, outcome)
            case TryLater():
                self._try_later(delivery, outcome)
            case Refused():
                self._parked(delivery, outcome)

    def _delivered(self, delivery: ClaimedDelivery, outcome: Accepted) -> None:
        self._buffer.settle(
            delivery.delivery_id, DeliveryEvent.ACCEPTED, reason=outcome.note, dimse_status=outcome.status
        )
        metrics.DELIVERIES.labels(destination=self._name, outcome="delivered").inc()
        metrics.DELIVERED_BYTES.labels(destination=self._name).inc(delivery.sealed.data_set_length)

    def _try_later(self, delivery: ClaimedDelivery, outcome: TryLater) -> None:
        pause = self._backoff.pause(delivery.attempts, random.random)
        self._buffer.settle(
            delivery.delivery_id,
            DeliveryEvent.FAILED_TRANSIENTLY,
            reason=outcome.reason,
            dimse_status=outcome.status,
            not_before=datetime.now(UTC) + timedelta(seconds=pause),
        )
        metrics.DELIVERIES.labels(destination=self._name, outcome="retry").inc()
        log.warning("delivery.retry", destination=self._name, attempt=delivery.attempts, delay_s=round(pause, 1))

    def _parked(self, delivery: ClaimedDelivery, outcome: Refused) -> None:
        self._buffer.settle(
            delivery.delivery_id, DeliveryEvent.REFUSED, reason=outcome.reason, dimse_status=outcome.status
        )
        metrics.DELIVERIES.labels(destination=self._name, outcome="parked").inc()
        log.error(
            "delivery.parked",
            destination=self._name,
            instance_id=delivery.sealed.instance_id,
            reason=outcome.reason,
            hint="Mend the cause, then `skerry-edge requeue`.",
        )
