"""Time, where decisions depend on it: when to try again, when a lease is over, how long a lane rests."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What tells the time, and lets it pass."""

    def now(self) -> datetime:
        """The time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""

    def wait(self, event: Callable[[float], T], seconds: float) -> T:
        """What `event` gives, a wait that takes its time-out in seconds and may end before."""


class SystemClock:
    """The machine's."""

    def now(self) -> datetime:
        """As the machine has it."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """As the kernel counts."""
        return time.monotonic()

    def wait(self, event: Callable[[float], T], seconds: float) -> T:
        """Real seconds."""
        return event(seconds)


SYSTEM: Clock = SystemClock()
