"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2

from edge.housekeeping import ROUND_SECONDS
from tests.bench.senders import TransferFailed

_GAUGE = "skerry_edge_slot_bytes_missing"


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


def until_prepared(http_url: str, *, seconds: float = 120.0) -> None:
    """Return when a node says that no slots are missing, a round of its housekeeping after now.

    Raises:
        TransferFailed: it is still at work after the time.
    """
    time.sleep(2 * ROUND_SECONDS)
    until(lambda: not _missing(http_url), "slots to be prepared", seconds=seconds, step=0.1)


def _missing(http_url: str) -> float:
    """Bytes of slots that are not made yet."""
    text = httpx2.get(f"{http_url}/metrics", timeout=10, trust_env=False).raise_for_status().text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(_GAUGE + " "))
