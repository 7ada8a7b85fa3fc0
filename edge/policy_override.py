"""A policy that a person at the site lets run instead of the control plane's, until it expires.

    DATA_DIR/policy/override.json        what, by whom, why and for how long; written and removed by the command
    DATA_DIR/policy/override-time.json   how much of that time has passed; written by the node

Time is counted while the node runs, by a clock that no one sets. What passes while it does not run is the difference of
the wall clock, taken only forward: a clock that was set back while the box was off makes it last longer by so much, one
that was set forward lets it end early, and then the control plane's policy runs again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from edge.durable import sync_directory, write_durably

log = structlog.get_logger(__name__)
LONGEST_SECONDS = 7 * 86_400.0
"""An override bridges an outage; what is to stay belongs to the control plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What a person placed."""

    number: str
    """Random: placing the same again is another one."""
    text: str
    placed_at: str
    placed_by: str
    seconds: float
    reason: str = ""

    def sha256(self) -> bytes:
        """Of the document."""
        return hashlib.sha256(self.text.encode()).digest()


def placed(text: str, *, by: str, seconds: float, reason: str, now: datetime) -> Override:
    """A new one."""
    at = now.astimezone(UTC).isoformat(timespec="seconds")
    return Override(number=secrets.token_hex(8), text=text, placed_at=at, placed_by=by, seconds=seconds, reason=reason)


def used_at_start(*, noted: float, noted_at: datetime, now: datetime) -> float:
    """How much time has passed when a node starts (pure)."""
    return noted + max(0.0, (now - noted_at).total_seconds())


class OverrideFiles:
    """Where an override is kept, for the command and for the node."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "policy"
        self._path, self._time = self._folder / "override.json", self._folder / "override-time.json"

    def place(self, override: Override) -> None:
        """Keep it over a power cut; the node sees it within seconds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, json.dumps(asdict(override), indent=2).encode(), mode=0o600)

    def read(self) -> Override | None:
        """The one that is placed."""
        try:
            return Override(**json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("policy.override-unreadable", error=str(error))
            return None

    def stamp(self) -> tuple[int, int]:
        """Changes whenever another one is placed."""
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)

    def end(self) -> None:
        """There is none any more."""
        self._path.unlink(missing_ok=True)
        self._time.unlink(missing_ok=True)
        if self._folder.exists():
            sync_directory(self._folder)

    def note_used(self, override: Override, used: float, now: datetime) -> None:
        """Keep how much of its time has passed."""
        facts = {"number": override.number, "used": used, "at": now.astimezone(UTC).isoformat()}
        write_durably(self._time, json.dumps(facts).encode())

    def used(self, override: Override, now: datetime) -> float:
        """How much of its time has passed, as a start finds it; of one that was never noted, since it was placed."""
        noted, noted_at = 0.0, datetime.fromisoformat(override.placed_at)
        try:
            facts = json.loads(self._time.read_bytes())
            if facts["number"] == override.number:
                noted, noted_at = float(facts["used"]), datetime.fromisoformat(facts["at"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # never noted, or not readable: then since it was placed
        return used_at_start(noted=noted, noted_at=noted_at, now=now)

    def seconds_left(self, override: Override, now: datetime) -> float:
        """How long it goes on, for people; the node counts more exactly."""
        return max(0.0, override.seconds - self.used(override, now))
