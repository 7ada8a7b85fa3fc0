"""C-STORE SCU: pooled associations to one peer, data sets streamed from the spool exactly as they came in."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from itertools import chain

import structlog

from edge.buffer.spool import Spool
from edge.forward.association import offer_of
from edge.forward.base import DestinationDown, Outcome, Settle, Unfit
from edge.forward.carriage import Carrier
from edge.forward.opening import offerable
from edge.forward.pool import Pool
from edge.forward.work import Settling, Work
from edge.model import ClaimedDelivery, DicomDestination
from edge.transfer_syntaxes import other_forms
from edge.upper_layer.requesting import MAX_CONTEXTS, Offer

log = structlog.get_logger(__name__)

IDLE_SECONDS = 120.0
"""How long nothing may move in either direction, not how long an object may take."""
PROMPT_SECONDS = 1.0
"""A peer that needs longer to accept one more association serves one after the other."""
ALONE_SECONDS = 600.0
"""How long such a peer is not asked again."""
_Result = tuple[ClaimedDelivery, Outcome]


class CStoreForwarder:
    """Sends to one peer."""

    def __init__(self, destination: DicomDestination, spool: Spool, *, idle_seconds: float | None = None) -> None:
        self._decompress = destination.decompress
        self._name, self._most = destination.name, destination.associations
        self._pool = Pool(destination, spool, IDLE_SECONDS if idle_seconds is None else idle_seconds)
        self._alone_until = 0.0

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`."""
        settling = Settling(settle)
        waiting = _offerable(deliveries, settling)
        while waiting and settling.raised is None:
            wanted = dict.fromkeys(offer_of(one) for one in waiting)
            offers = list(dict.fromkeys(chain.from_iterable(map(self._ways, wanted))))[:MAX_CONTEXTS]
            fitting = set(offers)
            self._deliver([one for one in waiting if offer_of(one) in fitting], offers, settling)
            waiting = [one for one in waiting if offer_of(one) not in fitting]
        if settling.raised is not None:
            raise settling.raised

    def _ways(self, offer: Offer) -> tuple[Offer, ...]:
        """As what it can go; itself stands last, so that it is never proposed without the others."""
        if not self._decompress:
            return (offer,)
        return (*((offer[0], form) for form in other_forms(offer[1])), offer)

    def ask(self) -> bool:
        """See `Asks.ask`."""
        return self._pool.ask()

    def rest(self) -> None:
        """See `Forwarder.rest`."""
        self._pool.rest()

    def close(self) -> None:
        """See `Forwarder.close`."""
        self._pool.close()

    def interrupt(self) -> None:
        """See `Forwarder.interrupt`."""
        self._pool.interrupt()

    def _deliver(self, batch: Sequence[ClaimedDelivery], offers: Sequence[Offer], settling: Settling) -> None:
        work = Work(batch)
        together = min(self._most, len(work)) if time.monotonic() >= self._alone_until else 1
        try:
            if together > 1:
                self._deliver_together(together, work, offers, settling)
            else:
                carrier = Carrier(self._pool, offers, work, settling, lambda: settling.raised is not None)
                carrier.run(self._pool.lend(offers))
        except DestinationDown:
            if settling.raised is None:
                raise

    def _deliver_together(self, count: int, work: Work, offers: Sequence[Offer], settling: Settling) -> None:
        """Over several associations, a thread for each; this one settles, as the lane's only thread that may."""
        results: queue.SimpleQueue[_Result | None] = queue.SimpleQueue()
        errors: list[Exception] = []

        def carry(*, first: bool) -> None:
            try:
                carrier = Carrier(
                    self._pool,
                    offers,
                    work,
                    lambda delivery, outcome: results.put((delivery, outcome)),
                    lambda: settling.raised is not None,
                )
                self._run(carrier, offers, first=first)
            except Exception as error:
                errors.append(error)
            finally:
                results.put(None)

        for number in range(count):
            name = f"lane-{self._name}-{number}"
            threading.Thread(target=carry, kwargs={"first": not number}, name=name, daemon=True).start()
        while count:
            result = results.get()
            if result is None:
                count -= 1
            else:
                settling(*result)
        for error in errors:
            raise error

    def _run(self, carrier: Carrier, offers: Sequence[Offer], *, first: bool) -> None:
        if first:
            carrier.run(self._pool.lend(offers))
            return
        try:
            association = self._pool.lend(offers, answer_seconds=PROMPT_SECONDS)
        except DestinationDown as error:
            self._alone_until = time.monotonic() + ALONE_SECONDS
            log.info("destination.serves_one_at_a_time", destination=self._name, reason=str(error))
            return
        carrier.run(association)


def _offerable(deliveries: Sequence[ClaimedDelivery], settle: Settle) -> list[ClaimedDelivery]:
    """Those that can be proposed; an instance that came under what is no UID is for a person."""
    good = [one for one in deliveries if offerable(offer_of(one))]
    if len(good) < len(deliveries):
        for one in deliveries:
            if not offerable(offer_of(one)):
                settle(one, Unfit(reason="its SOP class or transfer syntax is no UID that can be proposed"))
    return good
