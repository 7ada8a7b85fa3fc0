"""Sends over one association: while the peer works, the next instance is made ready and the last one settled."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.forward.association import Association
from edge.forward.base import Accepted, DestinationDown, Outcome, Settle, TryLater
from edge.forward.ends import Ended, Rotten
from edge.forward.parcel import Parcel
from edge.forward.pool import Pool
from edge.forward.statuses import outcome_of
from edge.forward.work import Work
from edge.model import ClaimedDelivery
from edge.upper_layer.requesting import Offer

SLOW_SECONDS = 0.02
"""A peer that takes longer for one than this loses nothing when outcomes are handed over before the next is sent."""


class Carrier:
    """Works until nothing is left, on one association after the other if it has to."""

    def __init__(
        self, pool: Pool, offers: Sequence[Offer], work: Work, settle: Settle, halted: Callable[[], bool]
    ) -> None:
        """`settle` must not raise; once `halted`, what is under way is finished and nothing more is sent."""
        self._pool, self._offers, self._work, self._settle, self._halted = pool, offers, work, settle, halted
        self._study: deque[ClaimedDelivery] = deque()
        self._known: list[tuple[ClaimedDelivery, Outcome]] = []

    def run(self, association: Association) -> None:
        """Take what there is to do, and give the association back.

        Raises:
            DestinationDown: nothing more can be sent; what was not settled is in the work again.
        """
        while True:
            try:
                self._carry(association)
            except Ended as end:
                association.drop(end)
                association = self._another(association, end)
            except BaseException:
                association.drop()
                self._try_later(association, "sending failed in a way that is a fault of ours")
                raise
            else:
                self._pool.give_back(association)
                return
            finally:
                self._hand_over()
                self._work.put_back(self._study)
                self._study = deque()

    def _carry(self, association: Association) -> None:
        parcel, sent_at = self._next_parcel(association), time.monotonic()
        try:
            while parcel is not None or association.outstanding:
                if parcel is not None and association.has_room_for(parcel):
                    if parcel.rest is not None or time.monotonic() - sent_at > SLOW_SECONDS:
                        self._hand_over()  # this one may take long, and perhaps something more urgent has come
                    if self._halted():
                        parcel.close()
                        self._study.appendleft(parcel.delivery)
                        parcel = None
                        continue
                    association.send(parcel)
                    sent_at = time.monotonic()
                    parcel.close()
                    parcel = None
                    parcel = self._next_parcel(association)
                    self._hand_over()
                    self._take_answers(association, wait=False)
                else:
                    self._take_answers(association, wait=True)
        finally:
            if parcel is not None:
                parcel.close()
                if parcel.delivery not in association.outstanding.values():
                    self._study.appendleft(parcel.delivery)

    def _next_parcel(self, association: Association) -> Parcel | None:
        while not self._halted():
            if not self._study:
                self._study = self._work.next_study()
                if not self._study:
                    return None
            ready = association.prepare(self._study[0])
            delivery = self._study.popleft()
            if isinstance(ready, Parcel):
                return ready
            self._known.append((delivery, ready))
        return None

    def _take_answers(self, association: Association, *, wait: bool) -> None:
        if not wait and association.window == 1:
            return  # it could only be the answer that the next turn waits for
        for delivery, status in association.collect(wait=wait):
            tries = delivery.attempts + self._work.was_sent_before(delivery)
            outcome, note = outcome_of(status, attempts=tries), association.note_of(delivery)
            if note and isinstance(outcome, Accepted):
                outcome = replace(outcome, note=f"{outcome.note}; {note}" if outcome.note else note)
            if (sent_as := association.sent_as(delivery)) and isinstance(outcome, Accepted):
                outcome = replace(outcome, sent_as=sent_as)
            self._known.append((delivery, outcome))

    def _hand_over(self) -> None:
        known, self._known = self._known, []
        for delivery, outcome in known:
            self._settle(delivery, outcome)

    def _another(self, association: Association, end: Ended) -> Association:
        """The association that the work goes on over, what was under way first.

        Raises:
            DestinationDown: it does not go on.
        """
        if isinstance(end, Rotten):
            _number, delivery = association.outstanding.popitem()
            self._known.append((delivery, end.outcome))
        under_way = list(association.outstanding.values())
        if not (_may_be_replaced(association, end) and self._work.may_send_again(under_way)):
            self._try_later(association, str(end))
            raise DestinationDown(str(end), hint="Look at its log for the reason.") from end
        try:
            another = self._pool.lend(self._offers, fresh=True)
        except DestinationDown:
            self._try_later(association, str(end))
            raise
        self._study.extendleft(reversed(under_way))
        return another

    def _try_later(self, association: Association, why: str) -> None:
        """What was sent and not answered may have arrived, so it counts as tried."""
        for delivery in association.outstanding.values():
            self._known.append((delivery, TryLater(reason=f"{why} while this instance was under way")))


def _may_be_replaced(association: Association, end: Ended) -> bool:
    """Whether this end says nothing against the peer: one that takes something may end each association."""
    if isinstance(end, Rotten) or (end.harmless and association.answered):
        return True
    return association.is_used_again and not association.answered
