"""Where the control plane takes the time from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present moment, aware, in UTC. Passed in wherever a decision depends on it."""


def utcnow() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)
