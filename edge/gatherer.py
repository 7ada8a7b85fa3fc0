"""The second hand of what routes wait for: each second it counts, and lets go what is complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import structlog

from edge import metrics
from edge.buffer.expected import NeverCame
from edge.buffer.gathering import Look
from edge.health import ANNOUNCED_MISSING, HealthBoard

log = structlog.get_logger(__name__)
TICK_SECONDS = 1.0
TELL_SECONDS = 10.0
SHOWN = timedelta(days=1)
"""How long people are told of images that never came."""


class Groups(Protocol):
    """The series and studies that are open."""

    def look(self, passed: timedelta, is_open: Callable[[int], bool]) -> Look:
        """Count this time, and let go what is complete."""

    def never_came(self, within: timedelta) -> NeverCame:
        """What is missing where a series or study went on without it lately."""


class Gatherer:
    """One thread. While nothing gathers it costs one small read a second."""

    def __init__(
        self,
        groups: Groups,
        is_open: Callable[[int], bool],
        *,
        behind: Callable[[], bool] = lambda: False,
        health: HealthBoard | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_open` tells whether an association still is; `behind` whether images wait that have no row yet."""
        self._groups, self._is_open, self._behind, self._monotonic = groups, is_open, behind, monotonic
        self._health, self._told_at = health, 0.0
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
        for one in found.outcomes:
            metrics.GATHERED.labels(outcome=one.outcome).inc()
            if one.missing:
                log.warning("gathering.incomplete", named=one.named, missing=one.missing, hint=ANNOUNCED_MISSING.hint)
        if found.gone or now >= self._told_at:
            self._told_at = now + TELL_SECONDS
            self._tell()

    def _tell(self) -> None:
        missing = self._groups.never_came(SHOWN)
        metrics.ANNOUNCED_MISSING.set(missing.images)
        if self._health is None:
            return
        if not missing.images:
            self._health.clear(ANNOUNCED_MISSING.code)
            return
        images = f"{missing.images} image{'s' if missing.images > 1 else ''}"
        studies = f"{missing.studies} {'studies' if missing.studies > 1 else 'study'}"
        text = f"{images} that modalities announced never came; {studies} went on without them in the last day."
        self._health.raise_condition(ANNOUNCED_MISSING.saying(text))

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            try:
                self.look()
            except Exception:
                log.exception("gathering.failed", hint="Nothing is lost: what waits goes at a later look.")
