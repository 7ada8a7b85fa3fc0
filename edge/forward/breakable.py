"""Calls that cannot be interrupted: they run in a thread that is left behind when somebody has to stop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from edge.forward.base import DestinationDown

Result = TypeVar("Result")


class Breakable:
    """One call after the other, until `cut`."""

    def __init__(self, name: str) -> None:
        self._name, self._cut = name, threading.Event()
        self._ends: queue.SimpleQueue[None] | None = None

    def run(self, call: Callable[[], Result]) -> Result:
        """What the call gives or raises.

        Raises:
            DestinationDown: it was cut; the call goes on in the background until its own time-outs end it.
        """
        ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:
                errors.append(error)
            finally:
                ends.put(None)

        self._ends = ends
        if not self._cut.is_set():
            threading.Thread(target=work, name=self._name, daemon=True).start()
            ends.get()
        if results:
            return results[0]
        if errors:
            raise errors[0]
        raise DestinationDown("we were told to stop", hint="Nothing has to be done.")

    @property
    def is_cut(self) -> bool:
        """Whether nothing may begin any more."""
        return self._cut.is_set()

    def cut(self) -> None:
        """From any thread: `run` returns now, and does not begin again."""
        self._cut.set()
        if self._ends is not None:
            self._ends.put(None)
