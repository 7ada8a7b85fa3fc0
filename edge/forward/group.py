"""One destination made of several: one of them gets each instance, and a member that is down is passed over."""

from __future__ import annotations

import hashlib
import queue
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from edge import metrics
from edge.clock import SYSTEM, Clock
from edge.forward.base import Accepted, Asks, DestinationDown, Forwarder, Outcome, Settle
from edge.forward.retry import Backoff
from edge.forward.work import Settling
from edge.model import ClaimedDelivery, GroupDestination
from edge.window import Window, is_open, said

log = structlog.get_logger(__name__)
PAUSES = Backoff(base=5.0, cap=120.0)
"""How long a member that was down is passed over; then it is tried again with what there is to send."""


@dataclass(slots=True, kw_only=True)
class _Member:
    name: str
    forwarder: Forwarder
    window: Window | None
    failures: int = 0
    rests_until: float = 0.0
    why: str = ""

    def is_open(self, clock: Clock) -> bool:
        """Whether its hours allow anything."""
        if self.window is not None and not is_open(self.window, clock.now()):
            self.why = said(self.window, clock.now())
            return False
        return True


class GroupForwarder:
    """`failover`: the first member that is well, in their order. `balance`: each study has a member, by its UID.

    What a member refuses for good is refused: another archive of the group is not asked to take it. Only a member that
    takes nothing at all is passed over, and what it did not take goes to the next at once.
    """

    def __init__(
        self, destination: GroupDestination, forwarders: Mapping[str, Forwarder], *, clock: Clock = SYSTEM
    ) -> None:
        """`forwarders` has one for each member, by its name."""
        self._name, self._spreads, self._clock = destination.name, destination.how == "balance", clock
        self._failed: set[str] = set()
        """Members that took nothing in this `deliver`."""
        self._members = [
            _Member(name=one.name, forwarder=forwarders[one.name], window=one.window) for one in destination.members
        ]

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. Members work side by side.

        Raises:
            DestinationDown: no member takes anything.
        """
        settling, left = Settling(settle), list(deliveries)
        self._failed.clear()
        while left and settling.raised is None:
            left = self._round(self._shares(left, self._ready()), settling)
        if settling.raised is not None:
            raise settling.raised

    def rest(self) -> None:
        """See `Forwarder.rest`."""
        for one in self._members:
            one.forwarder.rest()

    def interrupt(self) -> None:
        """See `Forwarder.interrupt`."""
        for one in self._members:
            one.forwarder.interrupt()

    def close(self) -> None:
        """See `Forwarder.close`."""
        for one in self._members:
            one.forwarder.close()

    def _ready(self) -> list[_Member]:
        """Those that are well or have rested; when there are none, those that rest: the lane has waited already."""
        here = [one for one in self._members if one.name not in self._failed and one.is_open(self._clock)]
        if not here:
            why = "; ".join(f"{one.name}: {one.why}" for one in self._members)
            raise DestinationDown(f"no member takes anything: {why}", hint="One that is well again is enough.")
        now = self._clock.monotonic()
        return [one for one in here if now >= one.rests_until] or here

    def _shares(
        self, deliveries: Sequence[ClaimedDelivery], well: Sequence[_Member]
    ) -> list[tuple[_Member, list[ClaimedDelivery]]]:
        if not self._spreads:
            return [(well[0], list(deliveries))]
        shares: dict[str, list[ClaimedDelivery]] = {one.name: [] for one in well}
        for one in deliveries:
            shares[chosen(one.study_instance_uid, list(shares))].append(one)
        return [(one, shares[one.name]) for one in well if shares[one.name]]

    def _round(
        self, shares: Sequence[tuple[_Member, list[ClaimedDelivery]]], settling: Settling
    ) -> list[ClaimedDelivery]:
        """Let each member have its share; what members that are down did not take is given back."""
        if len(shares) == 1:
            ((member, share),) = shares
            return self._one(member, share, settling, lambda: settling.raised is not None)
        heard: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        left: list[ClaimedDelivery] = []
        threads = [
            threading.Thread(target=self._beside, args=(*one, heard, settling, left), daemon=True) for one in shares
        ]
        for thread in threads:
            thread.start()
        for _thread in threads:
            while (told := heard.get()) is not _ended:
                told()  # settling belongs to the thread that was asked to deliver
        for thread in threads:
            thread.join()
        return left

    def _beside(
        self,
        member: _Member,
        share: list[ClaimedDelivery],
        heard: queue.SimpleQueue[Callable[[], None]],
        settling: Settling,
        left: list[ClaimedDelivery],
    ) -> None:
        def tell(delivery: ClaimedDelivery, outcome: Outcome) -> None:
            heard.put(partial(settling, delivery, outcome))

        try:
            left += self._one(member, share, tell, lambda: settling.raised is not None)
        except Exception as error:
            heard.put(partial(settling.fail, error))
        finally:
            heard.put(_ended)

    def _one(
        self, member: _Member, share: Sequence[ClaimedDelivery], settle: Settle, halted: Callable[[], bool]
    ) -> list[ClaimedDelivery]:
        """What this member did not take because it is down."""
        done: set[int] = set()

        def told(delivery: ClaimedDelivery, outcome: Outcome) -> None:
            done.add(delivery.delivery_id)
            settle(delivery, _by(member.name, outcome))
            if halted():
                raise _Halted

        try:
            if member.failures and isinstance(member.forwarder, Asks):
                member.forwarder.ask()  # what comes next is real work, which says more; this costs no instance
            member.forwarder.deliver(share, told)
        except _Halted:
            return []
        except DestinationDown as error:
            self._down(member, error)
            return [one for one in share if one.delivery_id not in done]
        self._well(member)
        return []

    def _well(self, member: _Member) -> None:
        if member.failures:
            log.info("group.member_up", destination=self._name, member=member.name)
        member.failures, member.why, member.rests_until = 0, "", 0.0
        metrics.MEMBER_UP.labels(destination=self._name, member=member.name).set(1)

    def _down(self, member: _Member, error: DestinationDown) -> None:
        self._failed.add(member.name)
        member.failures, member.why = member.failures + 1, str(error)
        pause = PAUSES.pause(member.failures, random.random)
        member.rests_until = self._clock.monotonic() + pause
        metrics.MEMBER_UP.labels(destination=self._name, member=member.name).set(0)
        log.warning(
            "group.member_down",
            destination=self._name,
            member=member.name,
            reason=str(error),
            hint=error.hint,
            delay_s=round(pause, 1),
        )


def chosen(study_instance_uid: str, members: Sequence[str]) -> str:
    """The member of a study: the same as long as it is among them, and when one leaves only its studies move.

    Rendezvous hashing: the highest of the hashes of study and member.
    """

    def weight(member: str) -> bytes:
        return hashlib.sha256(f"{study_instance_uid}\0{member}".encode()).digest()

    return max(members, key=weight)


def _by(member: str, outcome: Outcome) -> Outcome:
    """The outcome with the name of the member, so that a trace says where an instance is."""
    if isinstance(outcome, Accepted):
        return replace(outcome, note=f"by {member}" + (f": {outcome.note}" if outcome.note else ""))
    return replace(outcome, reason=f"{member}: {outcome.reason}")


def _ended() -> None:
    """A member has nothing more to say."""


class _Halted(Exception):
    """The lane wants to stop: nothing more is sent."""
