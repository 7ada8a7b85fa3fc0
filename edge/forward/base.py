"""What a way of delivering must do, and the only four ways in which one delivery can end.

This is the seam for a faster sender: it replaces a `Forwarder`, and nothing else notices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from edge.errors import EdgeError
from edge.model import ClaimedDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The destination answered success for this very instance."""

    status: int = 0
    note: str = ""
    sent_as: tuple[str, str, str] | None = None
    """Its study, series and SOP instance UID there, when they are others than here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryLater:
    """It did not work this time; the same instance may work later."""

    reason: str
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The destination will not take this instance; a person decides."""

    reason: str
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """The object itself stands in the way, wherever it goes; nothing of it was sent, and a person mends it."""

    reason: str
    status: int = 0


Outcome = Accepted | TryLater | Refused | Unfit
Settle = Callable[[ClaimedDelivery, Outcome], None]


class DestinationDown(EdgeError):
    """The destination takes nothing now; what was not settled goes back to the queue untouched."""

    kind = "down"
    """What is the matter, as one word for programs (`echo.py` has them all)."""

    def of(self, kind: str) -> Self:
        """The same, of this kind."""
        self.kind = kind
        return self


class Forwarder(Protocol):
    """Delivers to one destination. Called from one thread, but for `interrupt`."""

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """Try these in order and settle each as soon as its outcome is known.

        An instance that broke the connection is settled as TryLater, so that a poison one cannot hold the others.

        Raises:
            DestinationDown: nothing more can be sent now; what was not settled is given back.
        """

    def rest(self) -> None:
        """Called about once a second while there is nothing to deliver."""

    def interrupt(self) -> None:
        """Called from another thread: a `deliver` that hangs ends as soon as it can, and none begins any more."""

    def close(self) -> None:
        """Give back what is open towards the destination."""


@runtime_checkable
class Asks(Protocol):
    """A forwarder that can ask a destination that was down whether it is there again, at the cost of no instance."""

    def ask(self) -> bool:
        """Whether it said so; False when it cannot be asked, and only real work can tell.

        Raises:
            DestinationDown: it is still down.
        """
