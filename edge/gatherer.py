"""The second hand of what routes wait for: each second it counts, and lets go what is complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import structlog

from edge import metrics
from edge.buffer.gathering import Look

log = structlog.get_logger(__name__)
TICK_SECONDS = 1.0


class Groups(Protocol):
    """The series and studies that are open."""

    def look(self, passed: timedelta, is_open: Callable[[int], bool]) -> Look:
        """Count this time, and let go what is complete."""


class Gatherer:
    """One thread. While nothing gathers it costs one small read a second."""

    def __init__(
        self,
        groups: Groups,
        is_open: Callable[[int], bool],
        *,
        behind: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_open` tells whether an association still is; `behind` whether images wait that have no row yet."""
        self._groups, self._is_open, self._behind, self._monotonic = groups, is_open, behind, monotonic
        self._looked = monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gatherer", daemon=True)

    def start(self) -> None:
        """Begin to count: what passed before is no quiet, because nobody could have heard of another image."""
        self._looked = self._monotonic()
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the look that runs."""
        self._stopping.set()
        self._thread.join(timeout)

    def look(self) -> None:
        """Count what passed since the last look."""
        if self._behind():
            return  # an image of any of them may be among those; the time counts at the next look
        now = self._monotonic()
        passed, self._looked = timedelta(seconds=now - self._looked), now
        found = self._groups.look(passed, self._is_open)
        metrics.GATHERING_GROUPS.set(found.open)
        if found.deliveries:
            log.info("gathering.complete", groups=found.gone, deliveries=found.deliveries)

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("gathering.failed", hint="Nothing is lost: what waits goes at a later look.")
