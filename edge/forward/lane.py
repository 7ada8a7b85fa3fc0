"""A lane: one thread for one destination; claims, delivers, settles, and rests while the destination is down."""

from __future__ import annotations

import random
from datetime import datetime
from functools import partial

import structlog

from edge import metrics
from edge.buffer.deliveries import WAKE_NOTE, Deliveries
from edge.forward.base import Accepted, Asks, DestinationDown, Forwarder, Outcome, TryLater
from edge.forward.holding import RENEW_SECONDS, Holding, Unrecorded
from edge.forward.retry import Backoff
from edge.forward.worker import Worker
from edge.health import DESTINATION_DOWN, HealthBoard
from edge.model import ClaimedDelivery, Priority
from edge.window import Window, is_open, said

log = structlog.get_logger(__name__)
LOOK_AGAIN_SECONDS = 1.0
"""Also how late a requeue from another process is noticed."""


class Lane(Worker):
    """Everything that waits for one destination. Nothing that happens here touches another lane."""

    def __init__(
        self,
        name: str,
        forwarder: Forwarder,
        buffer: Deliveries,
        health: HealthBoard,
        backoff: Backoff,
        batch: int,
        *,
        window: Window | None = None,
        asked_after: float | None = None,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        """`window`: the hours in which it may send; None is always. `asked_after`: see `Holding`."""
        super().__init__(f"lane-{name}")
        self.name = name
        self._forwarder, self._buffer, self._health, self._backoff = forwarder, buffer, health, backoff
        self._batch, self._clock = batch, buffer.clock
        self._holding = Holding(name, buffer, backoff, renew_seconds, asked_after=asked_after)
        self._failures = 0
        self._half_open = False
        """It was down, and may be tried: by one real attempt, whose failure counts on."""
        self._unreached = False
        self._down_since: datetime | None = None
        self._window = window
        self._hours: str | None = None
        """What people were told of the hours last; empty while it is open."""

    def stop(self, timeout: float) -> None:
        """Finish the instance in flight, give the rest back; return after `timeout` seconds at the latest."""
        self.signal()
        self.join(timeout)

    def interrupt(self) -> None:
        """Break off the instance in flight: it is tried again by whoever comes next."""
        self._forwarder.interrupt()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                since = self._buffer.work_so_far()
                if not self._round():
                    self._forwarder.rest()
                    self._clock.wait(partial(self._buffer.wait_for_work, since=since), LOOK_AGAIN_SECONDS)
            except Exception:
                # A lane that dies is a stuck queue.
                log.exception("lane.failed", destination=self.name)
                self._stopping.wait(LOOK_AGAIN_SECONDS)
        self._holding.pay_what_can_be_paid()
        self._forwarder.close()

    def _round(self) -> bool:
        least = self._least()
        if least is not None and not self._asked_again():
            return True
        claimed = self._holding.claim(self._batch, least=least) if least is not None else []
        if not claimed:
            return False
        try:
            self._forwarder.deliver(claimed, self._settle)
            self._well()
            self._holding.flush()
        except DestinationDown as error:
            progress = len(self._holding) < len(claimed)
            self._holding.give_back()
            self._down(error, progress=progress)
        except _Overtaken as overtaken:
            if overtaken.answered_well:
                self._well()
            self._holding.give_back()
        except (_Stopping, Unrecorded) as ended:
            self._holding.give_back()
            if isinstance(ended, Unrecorded):
                self._stopping.wait(LOOK_AGAIN_SECONDS)
        except Exception:
            self._blame_the_oldest()
            self._holding.give_back()
            raise
        return True

    def _asked_again(self) -> bool:
        """Whether something may be sent: a destination that was down is asked once, by what costs no instance.

        When it could not be reached, answers now and nothing waits for it, it is well again. Whether one that broke
        off over instances is well, only instances show.
        """
        if not self._failures or self._half_open or not isinstance(self._forwarder, Asks):
            return True
        try:
            answers = self._forwarder.ask()
        except DestinationDown as error:
            self._down(error, progress=False)
            return False
        self._half_open = True
        log.info("destination.asked", destination=self.name, answers=answers)
        if answers and self._unreached and self._buffer.most_urgent(self.name) is None:
            self._well()
        return True

    def _settle(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        self._holding.settle(delivery, outcome)
        if self._stopping.is_set():
            raise _Stopping
        if self._holding.is_overtaken() or self._closed_meanwhile():
            raise _Overtaken(answered_well=isinstance(outcome, Accepted))

    def _least(self) -> Priority | None:
        """The lowest priority that may go now; None when nothing may."""
        if self._window is None:
            return Priority.BULK
        if is_open(self._window, self._clock.now()):
            self._tell_hours("")
            return Priority.BULK
        self._tell_hours(said(self._window, self._clock.now()))
        passes = self._window.stat_passes and self._buffer.most_urgent(self.name) is Priority.STAT
        return Priority.STAT if passes else None

    def _closed_meanwhile(self) -> bool:
        """Whether what would be sent next must wait for another opening."""
        ahead = self._holding.oldest()
        if self._window is None or ahead is None or is_open(self._window, self._clock.now()):
            return False
        return not (self._window.stat_passes and ahead.priority is Priority.STAT)

    def _tell_hours(self, words: str) -> None:
        if words != self._hours:
            self._hours = words
            log.info("destination.hours", destination=self.name, hours=words or "open")
            self._note(words or "up")

    def _blame_the_oldest(self) -> None:
        """Whichever broke us stands first among the unsettled; it waits its turn, and the others go on without it."""
        broken = self._holding.oldest()
        if broken is not None:
            try:
                self._holding.settle(
                    broken, TryLater(reason="sending it failed in a way that is a fault of ours; see the log")
                )
            except Unrecorded:
                log.exception("lane.cannot_settle", destination=self.name)

    def _well(self) -> None:
        with self._voice:
            if self._stopping.is_set():
                return
            metrics.DESTINATION_UP.labels(destination=self.name).set(1)
            self._health.clear(DESTINATION_DOWN.code, self.name)
        if self._failures:
            log.info("destination.up", destination=self.name)
            self._note("up")
        self._failures, self._down_since, self._half_open = 0, None, False

    def _down(self, error: DestinationDown, *, progress: bool) -> None:
        self._failures, self._half_open = 1 if progress else self._failures + 1, False
        self._unreached = error.kind != DestinationDown.kind
        self._down_since = self._down_since or self._clock.now()
        pause = self._backoff.pause(self._failures, random.random)
        text = f"{self.name} takes nothing since {self._down_since:%H:%M} UTC: {error}."
        with self._voice:
            if self._stopping.is_set():
                return  # nobody would ever take it back
            metrics.DESTINATION_UP.labels(destination=self.name).set(0)
            self._health.raise_condition(DESTINATION_DOWN.saying(text, subject=self.name, hint=error.hint))
        log.warning(
            "destination.down", destination=self.name, reason=str(error), hint=error.hint, delay_s=round(pause, 1)
        )
        self._note(f"down since {self._down_since:%Y-%m-%dT%H:%MZ}: {error}")
        self._rest(pause)

    def _rest(self, seconds: float) -> None:
        """Wait, unless a person asks to try again now."""
        asked = self._wish()
        deadline = self._clock.monotonic() + seconds
        while (left := deadline - self._clock.monotonic()) > 0:
            if self._clock.wait(self._stopping.wait, min(left, LOOK_AGAIN_SECONDS)) or self._wish() != asked:
                return

    def _wish(self) -> str | None:
        try:
            return self._buffer.note(WAKE_NOTE)
        except Exception:
            return None  # looking is not worth a lane

    def _note(self, value: str) -> None:
        try:
            self._buffer.set_note(f"destination.{self.name}", value)
        except Exception:
            log.warning("lane.cannot_note", destination=self.name, exc_info=True)  # a word for people, nothing more


class _Stopping(Exception):
    """The node is stopping; what is not settled goes back."""


class _Overtaken(Exception):
    """Something more urgent came; what is not settled goes back and is claimed again behind it."""

    def __init__(self, *, answered_well: bool) -> None:
        super().__init__()
        self.answered_well = answered_well
