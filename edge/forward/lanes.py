"""The lanes that the policy in force asks for. A destination that changed gets a new lane; the others go on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edge.buffer.store import Buffer
from edge.forward.lane import Lane
from edge.forward.registry import forwarder_for
from edge.forward.retry import Backoff
from edge.health import DESTINATION_DOWN, HealthBoard
from edge.model import Destination
from edge.settings import EdgeSettings

STOP_SECONDS = 6.0


class Lanes:
    """Starts and stops lanes so that they match a policy's destinations."""

    def __init__(self, settings: EdgeSettings, buffer: Buffer, health: HealthBoard) -> None:
        self._settings, self._buffer, self._health = settings, buffer, health
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Destination, Lane]] = {}

    def match(self, destinations: Sequence[Destination]) -> None:
        """Run exactly these lanes. Deliveries of a destination that is gone stay in the queue, for a person."""
        wanted = {destination.name: destination for destination in destinations}
        with self._lock:
            gone = [name for name, (destination, _lane) in self._running.items() if wanted.get(name) != destination]
            stopped = [self._running.pop(name) for name in gone]
            for _destination, lane in stopped:
                lane.stop(STOP_SECONDS)
                self._health.clear(DESTINATION_DOWN.code, lane.name)
            for name, destination in wanted.items():
                if name not in self._running:
                    self._running[name] = (destination, self._start(destination))

    def alive(self) -> bool:
        """Whether every lane still works."""
        return all(lane.alive() for _destination, lane in list(self._running.values()))

    def stop(self) -> None:
        """Stop them all at the same time."""
        with self._lock:
            lanes = [lane for _destination, lane in self._running.values()]
            threads = [threading.Thread(target=lane.stop, args=(STOP_SECONDS,)) for lane in lanes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self._running.clear()

    def _start(self, destination: Destination) -> Lane:
        lane = Lane(
            destination.name,
            forwarder_for(destination, self._buffer.spool),
            self._buffer,
            self._health,
            Backoff(cap=self._settings.retry_cap_seconds),
            self._settings.lane_batch,
        )
        lane.start()
        return lane
