"""Whether a disk takes writes: a small file without a name is written and synced every second, by a thread of its own.

A disk that hangs answers nobody, also not who asks how it is; the age of the last good beat tells.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

BEAT_SECONDS = 1.0


class DiskBeat:
    """The age of the last write that was on the disk."""

    def __init__(self, folder: Path, *, every_seconds: float = BEAT_SECONDS) -> None:
        self._folder, self._every = folder, every_seconds
        self._good = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk-beat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a disk that hangs is not waited for."""
        self._stopping.set()

    def silent_seconds(self) -> float:
        """Since the disk last took something."""
        return time.monotonic() - self._good

    def _run(self) -> None:
        while not self._stopping.is_set():
            # A full disk, and one that is read-only, take nothing either; both are told by their age alone.
            with contextlib.suppress(OSError):
                self._beat()
                self._good = time.monotonic()
            self._stopping.wait(self._every)

    def _beat(self) -> None:
        descriptor = os.open(self._folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
        try:
            os.pwrite(descriptor, time.monotonic_ns().to_bytes(8, "little"), 0)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
