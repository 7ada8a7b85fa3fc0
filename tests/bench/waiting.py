"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.senders import TransferFailed

STILL_SECONDS = 1.0


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


def until_still(folder: Path, *, seconds: float = 90.0) -> None:
    """Return when nothing in the folder has grown or gone for a second: what is prepared there is ready.

    Raises:
        TransferFailed: it is still at work after the time.
    """
    seen: list[tuple[int, int]] = []

    def still() -> bool:
        seen.append(_extent(folder))
        return len(seen) > 4 and len(set(seen[-5:])) == 1

    until(still, f"{folder.name} to be ready", seconds=seconds, step=STILL_SECONDS / 4)


def _extent(folder: Path) -> tuple[int, int]:
    """Files, and the blocks that they have on disk."""
    files, blocks = 0, 0
    for path in folder.rglob("*"):
        try:
            blocks += path.stat().st_blocks
        except FileNotFoundError:
            continue
        files += 1
    return files, blocks
