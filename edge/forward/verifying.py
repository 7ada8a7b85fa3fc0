"""Asking a destination, after it acknowledged instances, whether it holds them: what it does not hold is sent again.

The lane never waits for this: a thread of its own looks for what is to be asked, which lives in the database.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from itertools import groupby
from typing import Protocol

import structlog

from edge import metrics
from edge.buffer.deliveries import Deliveries
from edge.buffer.proofs import Proofs, Unproven
from edge.buffer.states import DeliveryEvent
from edge.buffer.transitions import Transition
from edge.errors import IllegalTransition
from edge.forward.base import DestinationDown
from edge.forward.retry import Backoff
from edge.forward.worker import Worker
from edge.health import NOT_VERIFIABLE, HealthBoard

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
TOGETHER = 500
"""What is looked for at once; of one page of answers to a question, nearly always."""
SENDINGS = 3
"""What was acknowledged and not there so often is for a person."""
GIVE_UP = timedelta(days=7)
"""A destination that answers no question for so long, longer than any outage, is for a person."""
LONGEST_PAUSE = 600.0
LONGEST_AFTER = 6 * 3_600.0
FAILURES_TOGETHER = 2
"""So many series for which it gave no answer, and none for which it did, are a destination that cannot be asked."""
_UID = re.compile(r"[0-9.]{1,64}")


class Asker(Protocol):
    """A way of asking. Called from one thread, but for `interrupt`."""

    how: str
    """As it stands in sentences for people."""

    def held(self, study: str, series: str, wanted: frozenset[str]) -> set[str]:
        """Those of the wanted images of a series that it says it holds.

        Raises:
            DestinationDown: it did not say.
        """

    def rest(self) -> None:
        """Nothing is to be asked now."""

    def interrupt(self) -> None:
        """Called from another thread: a question that hangs ends, and none begins any more."""


class NotAsked:
    """For what was sent while the policy still asked for verification: its acknowledgement counts."""

    how = ""

    def held(self, study: str, series: str, wanted: frozenset[str]) -> set[str]:
        """All of them."""
        del study, series
        return set(wanted)

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""


class Verifier(Worker):
    """The questions of one destination."""

    def __init__(
        self, name: str, asker: Asker, buffer: Deliveries, health: HealthBoard, *, after: float, questions: int
    ) -> None:
        """`after` seconds it is asked first; after so many questions what is not there is sent again."""
        super().__init__(f"verify-{name}")
        self.name, self._asker, self._buffer, self._health = name, asker, buffer, health
        self._after, self._questions = after, questions
        self._proofs, self._backoff = Proofs(buffer, name), Backoff(base=max(after, 1.0), cap=LONGEST_PAUSE)
        self._failures = 0
        self._noted: str | None = None

    def interrupt(self) -> None:
        """Break off the question that is asked now."""
        self._asker.interrupt()

    def _run(self) -> None:
        if isinstance(self._asker, NotAsked):
            self._try(self._proofs.ask_now)
        while not self._stopping.is_set():
            pause = self._try(self.ask_once)
            if pause is None or pause > 0:
                self._buffer.clock.wait(self._stopping.wait, pause or LOOK_SECONDS)
        self._asker.rest()

    def _try(self, step: Callable[[], float | None]) -> float | None:
        try:
            return step()
        except Exception:
            log.exception("verify.failed", destination=self.name)  # a thread that dies is a queue that stands still
            return None

    def ask_once(self) -> float:
        """Ask for what may be asked for now; how many seconds to wait before the next time."""
        due = self._proofs.due(TOGETHER)
        if not due:
            self._asker.rest()
            return LOOK_SECONDS
        waiting = sorted((one for one in due if _can_be_asked(one)), key=_series)
        words = f"it went to {self.name} without proper UIDs, so nobody can ask for it there"
        self._park([one for one in due if not _can_be_asked(one)], words)
        series = [list(group) for _uids, group in groupby(waiting, key=_series)]
        random.shuffle(series)  # one for which it never answers holds no other up
        if not self._ask_for(series):
            self._failures += 1
            return max(LOOK_SECONDS, self._backoff.pause(self._failures, random.random))
        self._failures = 0
        self._health.clear(NOT_VERIFIABLE.code, self.name)
        self._note("")
        return 0.0 if len(due) == TOGETHER else LOOK_SECONDS

    def _ask_for(self, series: Sequence[list[Unproven]]) -> bool:
        """Whether it answered any of these questions, or none was left to ask."""
        answered = failed = 0
        for place, asked in enumerate(series):
            if self._stopping.is_set():
                return True
            try:
                held = self._asker.held(*_series(asked[0]), frozenset(one.sop for one in asked))
            except DestinationDown as error:
                if self._stopping.is_set():
                    return True
                failed += 1
                down = failed >= FAILURES_TOGETHER and not answered
                self._unanswered([one for group in series[place:] for one in group] if down else asked, error)
                if failed >= FAILURES_TOGETHER:
                    break
            else:
                answered += 1
                self._judge(asked, held)
        return bool(answered) or not failed

    def _judge(self, asked: Sequence[Unproven], held: set[str]) -> None:
        how = self._asker.how
        verified = f"verified {how}" if how else "acknowledged; the policy asks for no verification any more"
        proven = self._settle([one for one in asked if one.sop in held], DeliveryEvent.VERIFIED, verified)
        self._count("verified", len(proven))
        metrics.DELIVERIES.labels(destination=self.name, outcome="delivered").inc(len(proven))
        missing = [one for one in asked if one.sop not in held]
        for count in sorted({one.asked + 1 for one in missing}):
            together = [one for one in missing if one.asked + 1 == count]
            if count < self._questions:
                words = (
                    f"it acknowledged the image; asked {how} ({count} of {self._questions}), it does not list it yet"
                )
                pause = min(LONGEST_AFTER, self._after * 2.0**count)
                self._proofs.ask_later(together, pause, words, asked=True)
                self._count("not_yet", len(together))
            else:
                self._not_there(together)

    def _not_there(self, missing: Sequence[Unproven]) -> None:
        how = self._asker.how
        words = (
            f"{self.name} acknowledged it {SENDINGS} times and does not hold it, asked {how}: ask its "
            "administrator where it went, then `skerry-edge requeue`"
        )
        self._park([one for one in missing if one.missing + 1 >= SENDINGS], words)
        words = f"it acknowledged the image and does not hold it, asked {how}; it is sent again"
        again = self._settle([one for one in missing if one.missing + 1 < SENDINGS], DeliveryEvent.MISSING, words)
        self._count("missing", len(again))
        for one in again:
            log.warning("delivery.missing", destination=self.name, instance_id=one.instance_id)

    def _unanswered(self, waiting: Sequence[Unproven], error: DestinationDown) -> None:
        self._asker.rest()
        now = self._buffer.clock.now()
        words = (
            f"{self.name} acknowledged it and cannot be asked whether it holds it: {error}. {error.hint} "
            "`skerry-edge requeue` sends it again"
        )
        self._park([one for one in waiting if now - one.sent_at > GIVE_UP], words)
        left = [one for one in waiting if now - one.sent_at <= GIVE_UP]
        if left:
            youngest = min((now - one.sent_at).total_seconds() for one in left)
            pause = min(LONGEST_PAUSE, max(self._after, youngest / 2))
            words = f"it acknowledged the image and cannot be asked for it: {error}"
            self._proofs.ask_later(left, pause, words, asked=False)
        self._count("unanswered", len(waiting))
        log.warning("verify.unanswered", destination=self.name, reason=str(error), hint=error.hint)
        text = f"{self.name} acknowledges images and does not say whether it holds them: {error}."
        with self._voice:
            if self._stopping.is_set():
                return  # nobody would ever take it back
            self._health.raise_condition(NOT_VERIFIABLE.saying(text, subject=self.name, hint=error.hint))
        self._note(f"cannot be asked for what it acknowledged: {error}. {error.hint}")

    def _park(self, lost: Sequence[Unproven], words: str) -> None:
        parked = self._settle(lost, DeliveryEvent.NEVER_FOUND, words)
        self._count("parked", len(parked))
        metrics.DELIVERIES.labels(destination=self.name, outcome="parked").inc(len(parked))
        for one in parked:
            log.error("delivery.parked", destination=self.name, instance_id=one.instance_id, reason=words)

    def _settle(self, these: Sequence[Unproven], event: DeliveryEvent, words: str) -> list[Unproven]:
        """Those of these that it happened to; a person ended the others meanwhile. They share commits."""
        settled: list[tuple[Unproven, Future[None]]] = []
        for one in these:
            pause = self._backoff.pause(one.missing + 1, random.random) if event is DeliveryEvent.MISSING else 0.0
            change = Transition(
                delivery_id=one.delivery_id,
                event=event,
                reason=words,
                not_before=self._buffer.clock.now() + timedelta(seconds=pause) if pause else None,
            )
            settled.append((one, self._buffer.settle_soon(change)))
        return [one for one, future in settled if _happened(future)]

    def _note(self, value: str) -> None:
        """For `skerry-edge status`."""
        if value != self._noted:
            self._buffer.set_note(f"verify.{self.name}", value)
            self._noted = value

    def _count(self, outcome: str, count: int) -> None:
        if count:
            metrics.VERIFICATIONS.labels(destination=self.name, outcome=outcome).inc(count)


def _happened(future: Future[None]) -> bool:
    try:
        future.result()
    except IllegalTransition:
        return False
    return True


def _series(one: Unproven) -> tuple[str, str]:
    return one.study, one.series


def _can_be_asked(one: Unproven) -> bool:
    """What a stranger sent as a UID may be a wildcard, or a list."""
    return all(_UID.fullmatch(uid) for uid in (one.study, one.series, one.sop))
