"""A clock that jumps: two days pass in seconds, and what is to happen at an hour happens then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")


class JumpingClock:
    """Passes over every wait at once, in the thread that waits. Fit for one lane."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, tzinfo=UTC)) -> None:
        self._start, self._passed = start, 0.0
        self._plans: list[tuple[float, Callable[[], None]]] = []

    def at(self, seconds: float, happens: Callable[[], None]) -> None:
        """Plan something for a moment, in seconds since the start; called by whoever waits then."""
        self._plans.append((seconds, happens))
        self._plans.sort(key=lambda plan: plan[0])

    def passed(self) -> float:
        """Seconds since the start."""
        return self._passed

    def now(self) -> datetime:
        """The time of day."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """The same in seconds."""
        return self._passed

    def wait(self, event: Callable[[float], T], seconds: float) -> T:
        """Be at the end of the wait."""
        until = self._passed + seconds
        while self._plans and self._plans[0][0] <= until:
            moment, happens = self._plans.pop(0)
            self._passed = max(self._passed, moment)
            happens()
        self._passed = max(self._passed, until)
        return event(0.0)
