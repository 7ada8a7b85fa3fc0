"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.senders import TransferFailed

STILL_SECONDS = 1.0
_LOOKS = 4


def until(condition: Callable[[], bool], what: str, *, seconds: float, step: float = 0.02) -> None:
    """Return when the condition holds.

    Raises:
        TransferFailed: it did not within the time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TransferFailed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(step)


def until_still(folder: Path, *, since: float = 0.0, seconds: float = 90.0) -> None:
    """Return when nothing in the folders of this folder has grown or gone for a second: what is prepared is ready.

    Folders in which nothing was made or removed after `since`, in seconds of the wall clock, are left out.

    Raises:
        TransferFailed: it is still at work after the time.
    """
    seen: list[tuple[int, int]] = []

    def still() -> bool:
        seen.append(_extent(folder, since))
        return len(seen) > _LOOKS and len(set(seen[-_LOOKS - 1 :])) == 1

    until(still, f"{folder.name} to be ready", seconds=seconds, step=STILL_SECONDS / _LOOKS)


def _extent(folder: Path, since: float) -> tuple[int, int]:
    """Files, and the blocks that they have on disk."""
    files, blocks = 0, 0
    for part in folder.iterdir():
        try:
            if not part.is_dir() or part.stat().st_mtime < since:
                continue
            for path in part.iterdir():
                blocks += path.stat().st_blocks
                files += 1
        except FileNotFoundError:
            continue  # it was removed in this moment
    return files, blocks
