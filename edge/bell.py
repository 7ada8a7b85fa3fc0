"""A bell that one process rings and another hears: an eventfd, which survives the death of either."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


class Bell:
    """Wakes whoever listens; rings that nobody has heard yet are one ring."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ring(self) -> None:
        """Never waits, never fails, costs a microsecond."""
        os.eventfd_write(self._descriptor, 1)

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` for each ring, from a thread of its own, as long as the process lives."""
        threading.Thread(target=self._listen, args=(heard,), name="bell", daemon=True).start()

    def _listen(self, heard: Callable[[], None]) -> None:
        while True:
            os.eventfd_read(self._descriptor)
            heard()
