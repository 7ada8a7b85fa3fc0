"""A brake on guessing, and a fold of what repeats: for one address in one window of time. In this process only."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from control.errors import TooManyAttempts, TooManyRequests

MAX_ADDRESSES = 10_000
"""More than these are forgotten, the oldest first: memory stays bounded whoever knocks."""


class AttemptLimiter:
    """Counts failures; who succeeds is never slowed down."""

    def __init__(
        self, *, failures: int, window_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._window = window_seconds
        self._monotonic = monotonic
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Let this address try.

        Raises:
            TooManyAttempts: it failed too often just now.
        """
        recent = self._recent(address)
        if len(recent) >= self._failures:
            raise TooManyAttempts(retry_after=max(1, round(self._window - (self._monotonic() - recent[0]))))

    def failed(self, address: str) -> bool:
        """Count one more failure. False when the address had none left: many at once pass the check together."""
        recent = self._recent(address)
        self._seen[address] = [*recent, self._monotonic()][-self._failures :]
        self._seen.move_to_end(address)
        while len(self._seen) > MAX_ADDRESSES:
            self._seen.popitem(last=False)
        return len(recent) < self._failures

    def reserve(self, address: str) -> None:
        """Let this address try, and count the attempt as a failure until it is given back.

        Attempts that come at once must not all pass before the first of them has failed.

        Raises:
            TooManyAttempts: it failed too often just now, or has too many attempts under way.
        """
        self.check(address)
        self.failed(address)

    def give_back(self, address: str) -> None:
        """An attempt that was reserved did not fail."""
        if recent := self._recent(address):
            self._seen[address] = recent[:-1]
        if not self._seen.get(address):
            self._seen.pop(address, None)

    def _recent(self, address: str) -> list[float]:
        since = self._monotonic() - self._window
        return [moment for moment in self._seen.get(address, []) if moment > since]


class RequestBrake:
    """A bucket of requests for each caller: filled at a steady rate, and never above its size."""

    def __init__(self, *, each_second: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = each_second
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, actor: str) -> None:
        """Take one request out of the caller's bucket.

        Raises:
            TooManyRequests: it is empty.
        """
        now = self._monotonic()
        left, since = self._buckets.get(actor, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._rate)
        if left < 1.0:
            raise TooManyRequests(retry_after=max(1, math.ceil((1.0 - left) / self._rate)))
        self._buckets[actor] = (left - 1.0, now)
        self._buckets.move_to_end(actor)
        while len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)


class Fold:
    """Says which of many like events is worth telling: the first of its kind in a window."""

    def __init__(self, *, window: timedelta) -> None:
        self._window = window
        self._told: OrderedDict[str, datetime] = OrderedDict()

    def due(self, kind: str, now: datetime) -> bool:
        """Whether none of this kind was told within the window."""
        told = self._told.get(kind)
        return told is None or now - told >= self._window

    def told(self, kind: str, now: datetime) -> None:
        """Note that one was told."""
        self._told[kind] = now
        self._told.move_to_end(kind)
        while len(self._told) > MAX_ADDRESSES:
            self._told.popitem(last=False)
