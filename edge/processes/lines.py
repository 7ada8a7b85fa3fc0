"""Log lines of the supervisor, of the same form as the children's. It stays small, so it loads no library for them."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime

from edge.recent_lines import RecentLines

_KEPT: list[RecentLines] = []


def say(event: str, *, level: str = "info", **fields: object) -> None:
    """Write one line; a broken pipe or a full log disk must never stop an image."""
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    values = {"process": "supervisor", **fields, "event": event, "level": level, "timestamp": stamp}
    with contextlib.suppress(OSError):
        line = json.dumps(values, default=str)
        for recent in _KEPT:
            recent.add(line)
        os.write(2, line.encode() + b"\n")


def keep_in(recent: RecentLines) -> None:
    """Keep what is said from now on there too."""
    _KEPT.append(recent)
