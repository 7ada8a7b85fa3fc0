"""How `skerry-edge enrol` waits for a person at the centre: politely, and with words for the technician."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edge.data_dir import lock_data_dir

if TYPE_CHECKING:
    from edge.sync.enrol import Waiting

SLOWEST_SECONDS = 30.0
SAY_AGAIN_SECONDS = 60.0


class Patience:
    """Waits between two questions, each time a little longer, and lets the node run meanwhile."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self._data_dir, self._name = data_dir, name
        self._lock: IO[str] | None = lock_data_dir(data_dir)
        self._began = self._said = 0.0
        self._asked = 0

    def wait(self, waiting: Waiting) -> None:
        """Sleep until it is time to ask again."""
        self._say(waiting)
        self._asked += 1
        seconds = min(SLOWEST_SECONDS, waiting.retry_seconds * (1 + self._asked / 12))
        self.release()  # images are more important: the node may start
        time.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311
        self._lock = lock_data_dir(self._data_dir)

    def release(self) -> None:
        """The data directory is not held any more."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _say(self, waiting: Waiting) -> None:
        now = time.monotonic()
        if not self._began:
            self._began = self._said = now
            lines = (
                f"{self._name} waits for approval until {waiting.expires_at:%Y-%m-%d %H:%M} UTC.",
                f"  fingerprint  {waiting.fingerprint}",
                f"  Compare it by telephone; then, at the centre: skerry-control node approve {waiting.request_id}",
                "  Ctrl-C ends the waiting, not the request: the same command goes on with it.",
            )
            print("\n".join(lines), file=sys.stderr, flush=True)
        elif now - self._said >= SAY_AGAIN_SECONDS:
            self._said = now
            text = f"still waits, for {(now - self._began) / 60:.0f} min; fingerprint {waiting.fingerprint}"
            print(text, file=sys.stderr, flush=True)
