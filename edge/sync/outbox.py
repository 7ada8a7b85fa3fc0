"""What the link needs of the buffer: events in order, and a place for one that the centre cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge.model import OutboxEvent


class Outbox(Protocol):
    """Events for the control plane, each stored in the transaction of the change that it tells of.

    Reading does not remove. Every call may come from any thread.
    """

    @property
    def epoch(self) -> int:
        """Random 64 bits; another number once the buffer was recreated or restored, because sequences start over."""

    def new_epoch(self) -> None:
        """Take another epoch, over restarts too: every event that waits is new to the centre under it."""

    def read_outbox(self, limit: int) -> Sequence[OutboxEvent]:
        """The oldest events that are neither acknowledged nor set aside, ascending by sequence."""

    def acknowledge(self, sequence: int) -> None:
        """The centre has every event up to here: they wait no longer. Leaves those that are set aside."""

    def told(self) -> int:
        """The last event that the centre acknowledged under this epoch; 0 when there is none."""

    def tell_again(self, known: int) -> None:
        """The centre has events only up to here, though it acknowledged more: all that it should know waits again.

        May be broken off and done again. What was told longer ago than the buffer remembers does not come back.
        """

    def set_aside(self, sequence: int, reason: str) -> None:
        """Keep this event for a person, out of the way of the others, with the reason. Never deletes it."""

    def wait_for_outbox(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a new event; say whether one came."""

    def set_note(self, key: str, value: str) -> None:
        """Keep a small fact that `skerry-edge status` shows."""

    def note(self, key: str) -> str | None:
        """A fact that was kept, or None."""
