"""The epoch of the outbox: a restored or recreated database must never reuse sequence numbers silently.

The file `epoch` beside the database knows the database file (device and inode) and the mark that the last start
left in both. A database that was restored, recreated or copied differs in one of them, so it gets another epoch and
the control plane counts anew; what was sent before is sent again and applied once.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from edge.durable import write_durably

BOOT_NOTE = "epoch.boot"


def current_epoch(path: Path, database: Path, boot_mark: str | None) -> int:
    """The epoch of this very database file: a random 63-bit number, stable over restarts.

    `boot_mark` is what `mark_boot` gave at the last start, as the database remembers it.
    """
    status = database.stat()
    identity = f"{status.st_dev}:{status.st_ino}"
    known = _read(path)
    if known.get("database") == identity and known.get("boot") == boot_mark and boot_mark is not None:
        return int(str(known["epoch"]))
    epoch = secrets.randbits(63) | 1
    _write(path, {"epoch": epoch, "database": identity, "boot": boot_mark})
    return epoch


def mark_boot(path: Path) -> str:
    """A new mark for this start, kept in the file; the caller keeps it in the database too."""
    mark = secrets.token_hex(8)
    _write(path, {**_read(path), "boot": mark})
    return mark


def renew_epoch(path: Path) -> int:
    """Another epoch for the same database: the control plane knows of sequences that this one never gave."""
    epoch = secrets.randbits(63) | 1
    _write(path, {**_read(path), "epoch": epoch})
    return epoch


def _read(path: Path) -> dict[str, object]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # absent or damaged: a new epoch costs nothing but a re-send of what was not acknowledged
    return known if isinstance(known, dict) else {}


def _write(path: Path, known: dict[str, object]) -> None:
    write_durably(path, json.dumps(known).encode())
