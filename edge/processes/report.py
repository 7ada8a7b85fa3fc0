"""What the supervisor says of its children, for the node's status, its metrics, and systemd (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge.processes.keeping import Record

LATELY_SECONDS = 900.0
"""How long an unexpected end is worth a word."""
BEATS_SECONDS = 5.0
"""Who was silent for longer makes no progress, as far as systemd's watchdog is concerned."""


class Kept(Protocol):
    """A child, as far as a report goes."""

    record: Record

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def pid(self) -> int | None:
        """While it runs."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The state of all children at one moment."""

    document: dict[str, Any]
    all_beat: bool
    down: tuple[str, ...]

    def sentence(self, dicom: str) -> str:
        """One line for `systemctl status`."""
        return f"serves {dicom}" if not self.down else f"{', '.join(self.down)} starts again; {dicom}"


class Reporter:
    """Makes reports, and knows whether one differs from the one before."""

    def __init__(self, children: Sequence[Kept]) -> None:
        self._children = children
        self._said: object = None

    def look(self, now: float) -> tuple[Report, bool]:
        """The report, and whether it says something new."""
        found = report(self._children, now)
        news, self._said = found.document != self._said, found.document
        return found, news


def report(children: Sequence[Kept], now: float) -> Report:
    """What is to be said of these children now."""
    return Report(
        document={
            child.name: {
                "pid": child.pid,
                "serves": child.record.served is not None,
                "ended": child.record.ended,
                "lately": child.record.recently(now, LATELY_SECONDS),
                "last_end": child.record.last_end,
            }
            for child in children
        },
        all_beat=all(now - child.record.heard <= BEATS_SECONDS for child in children),
        down=tuple(child.name for child in children if child.record.served is None),
    )
