"""Draining: this node takes no new associations, and goes on delivering what it holds. Kept across restarts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from edge.durable import sync_directory, write_durably
from edge.health import Condition, Severity

FILE = "draining.json"
DRAINING = Condition(
    code="draining",
    severity=Severity.MEDIUM,
    text="This node takes no new associations.",
    hint="`skerry-edge drain --end`, or from the centre `skerry-control node drain NODE --end`, lets them in again.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """Who asked for it, when and why."""

    by: str
    since: str
    reason: str = ""

    def condition(self, *, to_go: int) -> Condition:
        """What people read of it; `to_go` are the deliveries that are not done."""
        rest = "all that it held is delivered" if not to_go else f"deliveries that are not done: {to_go}"
        why = f" ({self.reason})" if self.reason else ""
        return DRAINING.saying(f"This node takes no new associations, as {self.by} asked at {self.since}{why}; {rest}.")


class Draining:
    """The mark in the data directory. Every process looks at it; there is nothing to tell anybody."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE

    def is_on(self) -> bool:
        """Whether new associations are refused."""
        return self._path.exists()

    def read(self) -> Drained | None:
        """Who asked for it; None while it is not on. A mark that cannot be read is one all the same."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            content = b""
        with contextlib.suppress(ValueError, TypeError):
            return Drained(**json.loads(content))
        return Drained(by="somebody", since="a time that is not known")

    def conditions(self, waiting: Callable[[], int]) -> list[Condition]:
        """What people should know of it; `waiting` counts the deliveries that are not done."""
        drained = self.read()
        return [] if drained is None else [drained.condition(to_go=waiting())]

    def begin(self, *, by: str, reason: str, now: datetime) -> bool:
        """From the next association on. False: it was on already, and nothing changed."""
        if self.is_on():
            return False
        mark = Drained(by=by, since=now.isoformat(timespec="seconds"), reason=reason)
        write_durably(self._path, json.dumps(asdict(mark)).encode(), mode=0o600)
        return True

    def end(self) -> bool:
        """Let them in again. False: it was not on."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        sync_directory(self._path.parent)
        return True
