"""Whether the centre can be reached, since when not, and why: kept as notes and as one condition in plain words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from edge.errors import UplinkError, UplinkRefused
from edge.sync.conditions import LinkHealth
from edge.sync.diagnosis import REACHABILITY, Facts, Finding, explain, refused, words_of
from edge.sync.identity import NodeIdentity
from edge.sync.outbox import Outbox
from edge.sync.probe import Knock, knock

KNOCK_EVERY_SECONDS = 20.0
NOTE_EVERY_SECONDS = 10.0

NOTE_STATE = "link.state"
"""`up` or `down`."""
NOTE_LAST_CONTACT = "link.last_contact"
NOTE_ERROR = "link.error"


class Reachability:
    """Hears how every call went. For any thread; never raises into the call."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        health: LinkHealth,
        identity: NodeIdentity,
        now: Callable[[], datetime],
        on_return: Callable[[], None],
        knock: Callable[[NodeIdentity], Knock] = knock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self._outbox = outbox
        self._health = health
        self._now = now
        self._on_return = on_return
        self._knock = knock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._up: bool | None = None
        self._troubles = 0
        self._noted_at: float | None = None
        self._knocked_at: float | None = None

    def contact(self) -> None:
        """The centre answered."""
        with self._lock:
            returned, self._up = self._up is not True, True
            self._troubles = 0
            self._knocked_at = None
            due = returned or self._noted_at is None or self._monotonic() - self._noted_at > NOTE_EVERY_SECONDS
            if due:
                self._noted_at = self._monotonic()
        self._health.clear(REACHABILITY)
        if due:
            self._outbox.set_note(NOTE_LAST_CONTACT, self._now().isoformat(timespec="seconds"))
        if returned:
            self._outbox.set_note(NOTE_STATE, "up")
            self._outbox.set_note(NOTE_ERROR, "")
            self._on_return()

    def trouble(self, error: UplinkError) -> None:
        """A call failed: find out why, but not for every call."""
        with self._lock:
            self._troubles += 1
            repeated, now = self._troubles > 1, self._monotonic()
            if self._knocked_at is not None and now - self._knocked_at < KNOCK_EVERY_SECONDS and self._up is False:
                return
            self._knocked_at = now
        if isinstance(error, UplinkRefused):
            condition = refused(error)
        else:
            found = self._knock(self.identity)
            if found.finding is Finding.ANSWERS and not repeated:
                # One broken call on a good road, such as a restart of the server: the next try tells.
                return
            condition = explain(self._facts(found, error))
        with self._lock:
            if self._troubles == 0:
                return
            self._up = False
        self._health.hold(condition)
        self._outbox.set_note(NOTE_STATE, "down")
        self._outbox.set_note(NOTE_ERROR, condition.text)

    def _facts(self, found: Knock, error: UplinkError) -> Facts:
        answers = found.finding is Finding.ANSWERS
        return Facts(
            endpoint=self.identity.grpc_endpoint,
            now=self._now(),
            valid_from=self.identity.valid_from,
            valid_until=self.identity.valid_until,
            finding=found.finding,
            detail=words_of(error) if answers else found.detail,
        )
