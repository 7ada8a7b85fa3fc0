"""How fast bytes may leave the spool, as far as somebody wants to say."""

from __future__ import annotations

from typing import Protocol


class Pace(Protocol):
    """Lets bytes go no faster than they may."""

    def take(self, count: int, *, urgent: bool) -> None:
        """Return when so many bytes may go."""
