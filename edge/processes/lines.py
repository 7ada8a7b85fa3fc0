"""Log lines of the supervisor, of the same form as the children's. It stays small, so it loads no library for them."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime


def say(event: str, *, level: str = "info", **fields: object) -> None:
    """Write one line; a broken pipe or a full log disk must never stop an image."""
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"process": "supervisor", **fields, "event": event, "level": level, "timestamp": stamp}
    with contextlib.suppress(OSError):
        os.write(2, json.dumps(line, default=str).encode() + b"\n")
