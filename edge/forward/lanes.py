"""The lanes that the policy in force asks for. A destination that changed gets a new lane; the others go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import structlog

from edge import metrics
from edge.buffer.deliveries import Deliveries
from edge.forward.budget import Meters
from edge.forward.lane import Lane
from edge.forward.registry import asker_for, forwarder_for
from edge.forward.retry import Backoff
from edge.forward.verifying import NotAsked, Verifier
from edge.health import DESTINATION_DOWN, NOT_VERIFIABLE, HealthBoard
from edge.model import Destination
from edge.settings import EdgeSettings

log = structlog.get_logger(__name__)
GRACE_SECONDS = 4.0
"""How long a lane may finish the instance in flight when it has to end."""
INTERRUPT_SECONDS = 2.0
"""How long it may take after that to break it off; one that hangs in a mount is left behind."""


class Lanes:
    """Starts and stops lanes so that they match a policy's destinations."""

    def __init__(
        self, settings: EdgeSettings, buffer: Deliveries, health: HealthBoard, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._settings, self._buffer, self._health = settings, buffer, health
        self._grace_seconds, self._meters = grace_seconds, Meters()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Destination, tuple[Lane | Verifier, ...]]] = {}
        self._verified: set[str] = set()
        """Destinations that were asked in this process: an outcome of an older lane may still come."""
        self._stopped = False

    def match(self, destinations: Sequence[Destination]) -> None:
        """Run exactly these lanes. Deliveries of a destination that is gone stay in the queue, for a person."""
        wanted = {destination.name: destination for destination in destinations}
        with self._lock:
            if self._stopped:
                return
            gone = [name for name, (destination, _lane) in self._running.items() if wanted.get(name) != destination]
            ended = [one for name in gone for one in self._running.pop(name)[1]]
            for lane in ended:
                lane.signal()
            for name in gone:
                self._forget(name)
            for name, destination in wanted.items():
                if name not in self._running:
                    self._running[name] = (destination, self._start(destination))
        self._wait_for(ended)

    def alive(self) -> bool:
        """Whether every lane still works."""
        return all(one.alive() for _destination, both in list(self._running.values()) for one in both)

    def stop(self) -> None:
        """Stop them all at the same time, for good."""
        with self._lock:
            self._stopped = True
            ended = [one for _destination, both in self._running.values() for one in both]
            self._running.clear()
            for lane in ended:
                lane.signal()
        self._meters.end()
        self._wait_for(ended)

    def _wait_for(self, ended: Sequence[Lane | Verifier]) -> None:
        """Return when these lanes have ended, all in the same few seconds; one that hangs in spite of that is left."""
        if _all_ended(ended, self._grace_seconds):
            return
        for lane in ended:
            if lane.alive():
                lane.interrupt()
        if not _all_ended(ended, INTERRUPT_SECONDS):
            log.warning("lane.left_behind", destinations=[lane.name for lane in ended if lane.alive()])

    def _forget(self, name: str) -> None:
        self._health.clear(DESTINATION_DOWN.code, name)
        self._health.clear(NOT_VERIFIABLE.code, name)
        metrics.DESTINATION_UP.remove(name)

    def _start(self, destination: Destination) -> tuple[Lane | Verifier, ...]:
        settings, buffer = self._settings, self._buffer
        asker = asker_for(destination, buffer.spool, settings.data_dir)
        lane = Lane(
            destination.name,
            forwarder_for(destination, buffer.spool, settings.data_dir, self._meters),
            buffer,
            self._health,
            Backoff(cap=settings.retry_cap_seconds),
            settings.lane_batch,
            window=destination.window,
            asked_after=settings.verify_after_seconds if asker is not None else None,
        )
        lane.start()
        if asker is None and destination.name not in self._verified and not buffer.verifies(destination.name):
            return (lane,)
        self._verified.add(destination.name)
        verifier = Verifier(
            destination.name,
            asker or NotAsked(),
            buffer,
            self._health,
            after=settings.verify_after_seconds,
            questions=settings.verify_questions,
        )
        verifier.start()
        return lane, verifier


def _all_ended(lanes: Sequence[Lane | Verifier], seconds: float) -> bool:
    until = time.monotonic() + seconds
    return all(lane.join(max(0.0, until - time.monotonic())) for lane in lanes)
