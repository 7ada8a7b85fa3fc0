"""C-STORE under the calling AE title of whoever sent an instance to us, for peers that tell modalities apart by it.

One name at a time has associations: a peer that serves one caller after the other must not wait for the last name.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from edge.forward.base import Asks, DestinationDown, Forwarder, Outcome, Settle, TryLater
from edge.forward.opening import CallerUnknown
from edge.model import DEFAULT_CALLING_AE_TITLE, ClaimedDelivery

MOST_NAMES = 64
"""Names that are remembered; nothing but memory is lost with one."""
MOMENT_SECONDS = 0.5
_USABLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
"""PS3.5 Table 6.2-1, AE. What came under no such name goes under our own."""


class InTheirName:
    """Sends to one peer, under one name after the other."""

    def __init__(self, forwarder_for: Callable[[str], Forwarder]) -> None:
        """`forwarder_for` makes the one that calls itself so."""
        self._make = forwarder_for
        self._known: OrderedDict[str, Forwarder] = OrderedDict()
        self._lock = threading.Lock()
        self._interrupted = threading.Event()
        self._last: str | None = None

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. A name that the peer does not know holds back nothing but what came under it."""
        by_name: dict[str, list[ClaimedDelivery]] = {}
        for one in deliveries:
            by_name.setdefault(name_of(one), []).append(one)
        for name, theirs in by_name.items():
            left = {one.delivery_id: one for one in theirs}

            def settled(delivery: ClaimedDelivery, outcome: Outcome, left: dict[int, ClaimedDelivery] = left) -> None:
                left.pop(delivery.delivery_id, None)
                settle(delivery, outcome)

            try:
                self._deliver(name, theirs, left, settled)
            except CallerUnknown as error:
                for one in list(left.values()):
                    settle(one, TryLater(reason=f"called as {name}, the sender's AE title: {error}. {error.hint}"))

    def ask(self) -> bool:
        """See `Asks.ask`: under the name that was used last. That it is not known says nothing of the others."""
        if self._last is None:
            return False
        last = self._under(self._last)
        try:
            return isinstance(last, Asks) and last.ask()
        except CallerUnknown:
            return False

    def rest(self) -> None:
        """See `Forwarder.rest`."""
        for one in self._all():
            one.rest()

    def interrupt(self) -> None:
        """See `Forwarder.interrupt`."""
        self._interrupted.set()
        for one in self._all():
            one.interrupt()

    def close(self) -> None:
        """See `Forwarder.close`."""
        for one in self._all():
            one.close()

    def _deliver(
        self, name: str, theirs: list[ClaimedDelivery], left: dict[int, ClaimedDelivery], settle: Settle
    ) -> None:
        switched = self._last not in (None, name)
        self._last = name
        try:
            self._under(name).deliver(theirs, settle)
        except CallerUnknown:
            raise
        except DestinationDown:
            # A peer that serves one caller may count the last name's association a moment longer than we do.
            if not switched or len(left) < len(theirs) or self._interrupted.wait(MOMENT_SECONDS):
                raise
            self._under(name).deliver(theirs, settle)

    def _under(self, name: str) -> Forwarder:
        with self._lock:
            known = self._known.get(name)
            others = [one for other, one in self._known.items() if other != name]
        for one in others:
            one.close()
        made = known or self._make(name)
        with self._lock:
            self._known[name] = made
            self._known.move_to_end(name)
            if len(self._known) > MOST_NAMES:
                self._known.popitem(last=False)
        if self._interrupted.is_set():
            made.interrupt()
        return made

    def _all(self) -> list[Forwarder]:
        with self._lock:
            return list(self._known.values())


def name_of(delivery: ClaimedDelivery) -> str:
    """What we call ourselves for this one."""
    name = delivery.sealed.facts.calling_ae_title.strip()
    return name if _USABLE.fullmatch(name) else DEFAULT_CALLING_AE_TITLE
