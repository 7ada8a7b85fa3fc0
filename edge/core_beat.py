"""Core's sign of life for the processes that receive: that it works, and how much waits. One small file in `run`.

The clock is the machine's monotonic one, which all processes share and nobody sets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from edge.run_dir import RunDir

log = structlog.get_logger(__name__)
FILE = "core-beat.json"
BEAT_SECONDS = 0.5


class CoreBeat:
    """Writes it, while core's work goes on."""

    def __init__(self, run_dir: RunDir, *, alive: Callable[[], bool], waiting: Callable[[], int]) -> None:
        """`waiting` asks the index how many deliveries are not done: an index that hangs stops the beat, too."""
        self._run_dir, self._alive, self._waiting = run_dir, alive, waiting
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="core-beat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            try:
                if self._alive():
                    self._run_dir.write(FILE, {"at": time.monotonic(), "waiting": self._waiting()})
            except Exception as error:  # whatever it is, silence tells it
                log.warning("core.no_beat", error=type(error).__name__)


class CoreBeatSeen:
    """Reads it. Before the first one, core counts as silent since this process began."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._at, self._waiting = time.monotonic(), 0

    def look(self) -> tuple[float, int]:
        """Seconds since the last beat, and what waited then."""
        found = self._run_dir.read(FILE)
        if isinstance(found, dict):
            self._at, self._waiting = float(found["at"]), int(found["waiting"])
        return time.monotonic() - self._at, self._waiting
