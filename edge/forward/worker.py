"""A thread that works for one destination until it is told to end."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Worker(ABC):
    """Started once, ended once. Whoever works here says nothing about its destination after `signal`."""

    def __init__(self, name: str) -> None:
        self._stopping, self._voice = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """Work until `_stopping` is set."""

    @abstractmethod
    def interrupt(self) -> None:
        """Break off what is under way. Called from another thread."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def signal(self) -> None:
        """End after what is under way; nothing is said about the destination from now on."""
        with self._voice:
            self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread ended within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()
