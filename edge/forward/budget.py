"""A byte budget: a line that several destinations share is given no more bytes in a second than the policy says."""

from __future__ import annotations

import copy
import threading

from edge.buffer.spool import Spool
from edge.clock import SYSTEM, Clock
from edge.model import Budget

BURST_SECONDS = 0.25
"""So much of a second's bytes may go at once after a rest: enough for the pauses of a scheduler."""


class Meter:
    """A token bucket (RFC 2697 calls the idea a meter). Who takes more than is there waits until it is paid back.

    What is urgent takes without waiting, and the others wait for it afterwards: the line gets no more on the whole.
    """

    def __init__(self, bytes_per_second: int, *, clock: Clock = SYSTEM) -> None:
        self._rate, self._clock = bytes_per_second, clock
        self._most = bytes_per_second * BURST_SECONDS
        self._lock = threading.Lock()
        self._left, self._seen = self._most, clock.monotonic()
        self._ended = threading.Event()

    def take(self, count: int, *, urgent: bool) -> None:
        """Return when so many bytes may go."""
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(self._most, self._left + (now - self._seen) * self._rate) - count
            self._seen, debt = now, -self._left
        if debt > 0 and not urgent:
            self._clock.wait(self._ended.wait, debt / self._rate)

    def end(self) -> None:
        """Nobody waits any more: the process stops."""
        self._ended.set()


class Meters:
    """The meters of a process, one for each budget, shared by all lanes whose destinations name it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: dict[Budget, Meter] = {}

    def spool(self, spool: Spool, budget: Budget | None) -> Spool:
        """The spool as a destination under this budget reads it."""
        if budget is None:
            return spool
        with self._lock:
            meter = self._meters.setdefault(budget, Meter(budget.bytes_per_second))
        paced = copy.copy(spool)
        paced.meter = meter
        return paced

    def end(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            for meter in self._meters.values():
                meter.end()
