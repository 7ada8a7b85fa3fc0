"""What one lane holds: claimed under a lease, settled or given back, and owed while the database does not take it."""

from __future__ import annotations

import random
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from edge import metrics
from edge.buffer.deliveries import Deliveries
from edge.buffer.states import DeliveryEvent
from edge.buffer.transitions import Transition
from edge.errors import IllegalTransition
from edge.forward.base import Accepted, Outcome, Refused, TryLater, Unfit
from edge.forward.retry import Backoff
from edge.model import ClaimedDelivery, Priority

log = structlog.get_logger(__name__)
RENEW_SECONDS = 60.0
"""A small part of a lease, and seldom enough to cost nothing."""
LOOK_SECONDS = 1.0
"""How often a lane that is busy looks for what is more urgent when nobody rings."""
UNRECORDED_LIMIT = 256
"""So many outcomes may be on their way to the database; what a crash takes with it is sent once more, not lost."""


class Unrecorded(Exception):
    """The database does not take outcomes now; they are owed to it and not forgotten."""


@dataclass(frozen=True, slots=True)
class _Debt:
    """An outcome on its way to the database; None gives the delivery back."""

    delivery: ClaimedDelivery
    outcome: Outcome | None
    recorded: Future[None]


class Holding:
    """The deliveries of one lane between its claim and their end. Used by the lane's thread only.

    An outcome is handed to the writer at once and not waited for, so that many share a commit and a fast destination
    is not held to one sync for each object.
    """

    def __init__(
        self,
        name: str,
        buffer: Deliveries,
        backoff: Backoff,
        renew_seconds: float,
        *,
        asked_after: float | None = None,
    ) -> None:
        """`asked_after`: so many seconds after a success the destination is asked for the instance; None never."""
        self._asked_after = asked_after
        self._name, self._buffer, self._backoff, self._renew_seconds = name, buffer, backoff, renew_seconds
        self._held: dict[int, ClaimedDelivery] = {}
        self._handed_in: deque[_Debt] = deque()
        self._owed: list[tuple[ClaimedDelivery, Outcome | None]] = []
        self._renewed = 0.0
        self._seen, self._looked = -1, 0.0
        self._waits: Priority | None = None
        """The highest priority that was seen to wait since the claim."""

    def claim(self, limit: int, *, least: Priority = Priority.BULK) -> list[ClaimedDelivery]:
        """Hold the next deliveries, after another try to write down what is owed; none while too much is."""
        self.pay_what_can_be_paid()
        self._seen, self._looked, self._waits = self._buffer.work_so_far(), self._buffer.clock.monotonic(), None
        if len(self._owed) > UNRECORDED_LIMIT:
            return []  # who goes on sending what it cannot write down sends it all again
        claimed = self._buffer.claim(self._name, limit, least=least)
        self._held = {one.delivery_id: one for one in claimed}
        self._renewed = self._buffer.clock.monotonic()
        return claimed

    def __len__(self) -> int:
        """How many are neither settled nor given back."""
        return len(self._held)

    def oldest(self) -> ClaimedDelivery | None:
        """The first that is neither settled nor given back."""
        return next(iter(self._held.values()), None)

    def is_overtaken(self) -> bool:
        """Whether something waits that is more urgent than what would be sent next of this.

        Costs nothing while nothing is added; what another process makes due without a bell is seen a second later.
        """
        ahead = self.oldest()
        if ahead is None or ahead.priority is Priority.STAT:
            return False
        added, now = self._buffer.work_so_far(), self._buffer.clock.monotonic()
        if added != self._seen or now - self._looked > LOOK_SECONDS:
            self._seen, self._looked = added, now
            try:
                self._waits = self._buffer.most_urgent(self._name)
            except Exception:
                log.warning("lane.cannot_look", destination=self._name, exc_info=True)  # the next look may succeed
        return self._waits is not None and self._waits < ahead.priority

    def settle(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        """Write down how this delivery ended; it is on the disk after `flush` at the latest.

        Raises:
            Unrecorded: the database did not take this or an earlier one; they are owed.
        """
        held = list(self._held)
        self._held.pop(delivery.delivery_id, None)
        self._hand_in(delivery, outcome)
        try:
            self._renew(held)
        except Exception as error:
            raise Unrecorded from error
        self._look(wait_for=len(self._handed_in) - UNRECORDED_LIMIT)

    def flush(self) -> None:
        """Return when everything settled is on the disk.

        Raises:
            Unrecorded: something is not; it is owed.
        """
        self._look(wait_for=len(self._handed_in))

    def give_back(self) -> None:
        """Put everything that is still held back into the queue, as if it had never been claimed."""
        self._buffer.not_sent(self._name, len(self._held))
        self._owed.extend((one, None) for one in self._held.values())
        self._held = {}
        self.pay_what_can_be_paid()

    def pay_what_can_be_paid(self) -> None:
        """Write down what is owed; what the database does not take now stays owed, and stands in nobody's way."""
        owed, self._owed = self._owed, []
        for delivery, outcome in owed:
            self._hand_in(delivery, outcome)
        try:
            self.flush()
        except Unrecorded as error:
            log.error("lane.cannot_settle", destination=self._name, owed=len(self._owed), error=repr(error.__cause__))

    def _hand_in(self, delivery: ClaimedDelivery, outcome: Outcome | None) -> None:
        try:
            recorded = self._buffer.settle_soon(self._transition(delivery, outcome))
        except Exception as error:
            recorded = Future()
            recorded.set_exception(error)
        self._handed_in.append(_Debt(delivery, outcome, recorded))

    def _look(self, *, wait_for: int) -> None:
        """See what became of what was handed in: of all that ended, and of the first `wait_for` in any case."""
        failure: BaseException | None = None
        while self._handed_in and (wait_for > 0 or self._handed_in[0].recorded.done()):
            wait_for -= 1
            debt = self._handed_in.popleft()
            error = debt.recorded.exception()
            if error is None:
                self._say(debt.delivery, debt.outcome)
            elif isinstance(error, IllegalTransition):
                # Its lease ran out and somebody else has taken it on: it may be sent twice, and is not lost.
                log.warning("lane.lease_lost", destination=self._name, instance_id=debt.delivery.sealed.instance_id)
            else:
                failure = error
                self._owed.append((debt.delivery, debt.outcome))
        if failure is not None:
            raise Unrecorded from failure

    def _renew(self, delivery_ids: list[int]) -> None:
        if self._buffer.clock.monotonic() - self._renewed > self._renew_seconds:
            self._buffer.renew(delivery_ids)
            self._renewed = self._buffer.clock.monotonic()

    def _transition(self, delivery: ClaimedDelivery, outcome: Outcome | None) -> Transition:
        match outcome:
            case None:
                return Transition(delivery_id=delivery.delivery_id, event=DeliveryEvent.GIVEN_BACK)
            case Accepted(status=status, note=note) if self._asked_after is not None:
                first_question = self._buffer.clock.now() + timedelta(seconds=self._asked_after)
                own = (delivery.study_instance_uid, delivery.series_instance_uid, delivery.sealed.sop_instance_uid)
                change = _outcome(delivery, DeliveryEvent.UNPROVEN, note, status, first_question)
                return replace(change, sent_as=outcome.sent_as or own)
            case Accepted(status=status, note=note):
                return _outcome(delivery, DeliveryEvent.ACCEPTED, note, status)
            case Refused(status=status, reason=reason):
                return _outcome(delivery, DeliveryEvent.REFUSED, reason, status)
            case Unfit(status=status, reason=reason):
                return _outcome(delivery, DeliveryEvent.UNFIT, reason, status)
            case TryLater(status=status, reason=reason):
                pause = self._backoff.pause(delivery.attempts, random.random)
                not_before = self._buffer.clock.now() + timedelta(seconds=pause)
                return _outcome(delivery, DeliveryEvent.FAILED_TRANSIENTLY, reason, status, not_before)

    def _say(self, delivery: ClaimedDelivery, outcome: Outcome | None) -> None:
        match outcome:
            case Accepted():
                metrics.DELIVERIES.labels(
                    destination=self._name, outcome="delivered" if self._asked_after is None else "sent"
                ).inc()
                metrics.DELIVERED_BYTES.labels(destination=self._name).inc(delivery.sealed.data_set_length)
            case TryLater():
                metrics.DELIVERIES.labels(destination=self._name, outcome="retry").inc()
                log.warning("delivery.retry", destination=self._name, attempt=delivery.attempts)
            case Refused(reason=reason):
                metrics.DELIVERIES.labels(destination=self._name, outcome="parked").inc()
                log.error(
                    "delivery.parked",
                    destination=self._name,
                    instance_id=delivery.sealed.instance_id,
                    reason=reason,
                    hint="Mend the cause, then `skerry-edge requeue`.",
                )
            case Unfit(reason=reason):
                metrics.DELIVERIES.labels(destination=self._name, outcome="quarantined").inc()
                log.error(
                    "delivery.quarantined",
                    destination=self._name,
                    instance_id=delivery.sealed.instance_id,
                    reason=reason,
                    hint="Mend the object with `skerry-edge fix`, or the policy, then `skerry-edge release`.",
                )


def _outcome(
    delivery: ClaimedDelivery, event: DeliveryEvent, reason: str, status: int, not_before: datetime | None = None
) -> Transition:
    return Transition(
        delivery_id=delivery.delivery_id, event=event, reason=reason, dimse_status=status, not_before=not_before
    )
