"""An outbox in memory with the promises of the buffer's."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from edge.model import OutboxEvent


class MemoryOutbox:
    """Reading does not remove; an event that was set aside is kept."""

    def __init__(self, epoch: int = 7) -> None:
        self.epoch = epoch
        self.aside: dict[int, str] = {}
        self.notes: dict[str, str] = {}
        self._events: dict[int, OutboxEvent] = {}
        self._told: dict[int, OutboxEvent] = {}
        self._told_to: dict[int, int] = {}
        self._next = 1
        self._changed = threading.Condition()
        self._news = False

    def add(self, count: int = 1, *, body: Mapping[str, object] | None = None, kind: str = "delivery_changed") -> None:
        """New events, as a delivery's changes make them."""
        with self._changed:
            for _ in range(count):
                self._events[self._next] = OutboxEvent(
                    sequence=self._next,
                    kind=kind,
                    occurred_at=datetime.now(UTC),
                    body=body if body is not None else {"instance_id": f"{self._next:032x}", "state": "due"},
                )
                self._next += 1
            self._news = True
            self._changed.notify_all()

    def new_epoch(self) -> None:
        with self._changed:
            self.epoch += 1

    def waiting(self) -> list[int]:
        """Sequences that are neither acknowledged nor set aside."""
        with self._changed:
            return sorted(set(self._events) - set(self.aside))

    def read_outbox(self, limit: int) -> Sequence[OutboxEvent]:
        with self._changed:
            return [self._events[number] for number in sorted(set(self._events) - set(self.aside))[:limit]]

    def acknowledge(self, sequence: int) -> None:
        with self._changed:
            for number in [n for n in self._events if n <= sequence and n not in self.aside]:
                self._told[number] = self._events.pop(number)
            self._told_to[self.epoch] = max(self.told(), sequence)

    def told(self) -> int:
        return self._told_to.get(self.epoch, 0)

    def tell_again(self, known: int) -> None:
        with self._changed:
            for number in [one for one in self._told if one > known]:
                self._events[number] = self._told.pop(number)
            self._told_to[self.epoch] = known

    def set_aside(self, sequence: int, reason: str) -> None:
        with self._changed:
            self.aside[sequence] = reason

    def wait_for_outbox(self, timeout: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._news, timeout)
            news, self._news = self._news, False
            return news

    def set_note(self, key: str, value: str) -> None:
        with self._changed:
            self.notes[key] = value

    def note(self, key: str) -> str | None:
        with self._changed:
            return self.notes.get(key)
