"""The outage clock: how long the free room lasts at the present inflow when nothing leaves. Pure but for its memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 3600.0
STEP_SECONDS = 60.0
FIRST_WORD_SECONDS = 120.0
"""Before that, one burst would speak for the whole day."""


class Inflow:
    """Bytes that came in during the last hour, by the minute."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._began = monotonic, monotonic()
        self._lock = threading.Lock()
        self._minutes: deque[tuple[float, int]] = deque()

    def note(self, size: int) -> None:
        """So many bytes came in."""
        now = self._monotonic()
        with self._lock:
            if self._minutes and now - self._minutes[-1][0] < STEP_SECONDS:
                began, bytes_then = self._minutes[-1]
                self._minutes[-1] = (began, bytes_then + size)
            else:
                self._minutes.append((now, size))
            self._forget(now)

    def bytes_per_hour(self) -> int:
        """Over the last hour, or over the node's life while that is shorter; 0 in its first two minutes."""
        now = self._monotonic()
        lived = now - self._began
        if lived < FIRST_WORD_SECONDS:
            return 0
        with self._lock:
            self._forget(now)
            total = sum(size for _, size in self._minutes)
        return int(total * WINDOW_SECONDS / min(lived, WINDOW_SECONDS))

    def _forget(self, now: float) -> None:
        while self._minutes and now - self._minutes[0][0] > WINDOW_SECONDS:
            self._minutes.popleft()


def outage_seconds(*, room_bytes: int, bytes_per_hour: int) -> int:
    """How long so much room lasts at this inflow; 0 when nothing is known of the inflow."""
    if bytes_per_hour <= 0:
        return 0
    return int(max(0, room_bytes) * 3600 // bytes_per_hour)
