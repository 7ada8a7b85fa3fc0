"""A data directory belongs to one node at a time."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

from edge.durable import sync_directory
from edge.errors import DataDirInUse

PSEUDONYM_KEY = "pseudonym.key"
"""Its file with the key of pseudonyms and hashes, which never leaves it."""


def lock_data_dir(data_dir: Path, *, wait_seconds: float = 0.0) -> IO[str]:
    """Own this data directory until the returned file is closed everywhere: a child process may hold it too.

    Raises:
        DataDirInUse: another process owns it, also after `wait_seconds`.
    """
    new = [folder for folder in (data_dir, *data_dir.parents) if not folder.exists()]
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in new:
        sync_directory(folder.parent)  # else a power cut could take the whole directory, and all that is in custody
    lock = (data_dir / "lock").open("a+", encoding="utf-8")
    until = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                lock.close()
                raise DataDirInUse(f"another process owns {data_dir}") from error
            time.sleep(0.02)
        else:
            return lock


def is_owned(data_dir: Path) -> bool:
    """Whether a process owns this data directory now: the node runs, or its index is rebuilt."""
    try:
        with (data_dir / "lock").open("r", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
