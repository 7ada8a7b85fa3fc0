"""How a demo tells what happens: lines for a log, or a live view for a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from provisioning.demo.ledger import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a person should see at one moment."""

    url: str
    login: str
    programs: Sequence[tuple[str, str, bool]]
    """Name, what it is, and whether it runs."""
    fleet: Sequence[Mapping[str, Any]]
    """As the centre last told it."""
    fleet_seen_at: float | None
    """On the monotonic clock; None before the first answer."""
    tally: Tally


class Narrator(Protocol):
    """Tells people what happens."""

    def happened(self, what: str) -> None:
        """One thing just happened."""

    def show(self, scene: Scene) -> None:
        """This is how everything is now."""


class PlainNarrator:
    """One line for each thing that happened, and one when the numbers changed."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._began = time.monotonic()
        self._told: Tally | None = None
        self._told_at = 0.0

    def happened(self, what: str) -> None:
        """A line with the seconds since the start."""
        self._write(f"{time.monotonic() - self._began:6.1f} s  {what}")

    def show(self, scene: Scene) -> None:
        """A line with the numbers, when they changed, and at most each second."""
        now = time.monotonic()
        if scene.tally.sent and scene.tally != self._told and now - self._told_at >= 1:
            self._told, self._told_at = scene.tally, now
            tally = scene.tally
            self.happened(
                f"sent {tally.sent}, on the way {tally.lost}, in a PACS unchanged {tally.delivered}, "
                f"in the central search {tally.indexed}"
            )
