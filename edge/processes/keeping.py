"""When a child that ended is started again, and which one hangs: decisions without I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each restart in a row: at once the first time, so that one crash costs modalities nothing."""
WELL_SECONDS = 10.0
"""A child that served for so long begins with the first pause again."""
STILLBORN_LIMIT = 5
"""A child that ends so often before the node ever served will not serve by itself."""


@dataclass(slots=True)
class Record:
    """The life of one child, in monotonic seconds."""

    name: str
    started: float = 0.0
    served: float | None = None
    """Since when it serves; None while it does not."""
    heard: float = 0.0
    """When it last showed progress."""
    start_at: float | None = 0.0
    """When it is due to be started; None while it runs."""
    row: int = 0
    """How often in a row it ended without having served for a while."""
    ended: int = 0
    """How often it ended unexpectedly."""
    lately: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    """When it did so."""
    last_end: str = ""

    def starts(self, now: float) -> None:
        """It was started."""
        self.started = self.heard = now
        self.served = self.start_at = None

    def serves(self, now: float) -> None:
        """It said that it serves."""
        self.served = self.heard = now

    def beats(self, now: float) -> None:
        """It said that it makes progress."""
        self.heard = now

    def ends(self, now: float, how: str) -> None:
        """It ended although nobody asked it to."""
        self.row = 0 if self.served is not None and now - self.served >= WELL_SECONDS else self.row
        self.start_at = now + PAUSES[min(self.row, len(PAUSES) - 1)]
        self.row += 1
        self.served = None
        self.ended += 1
        self.lately.append(now)
        self.last_end = how

    def hangs(self, now: float, limit: float) -> bool:
        """Whether it runs and has shown no progress for `limit` seconds."""
        return self.start_at is None and now - self.heard > limit

    def is_due(self, now: float) -> bool:
        """Whether it is time to start it."""
        return self.start_at is not None and now >= self.start_at

    def recently(self, now: float, window: float) -> int:
        """How often it ended unexpectedly within the last `window` seconds."""
        return sum(1 for one in self.lately if now - one <= window)
