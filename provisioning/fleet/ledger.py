"""What a fleet saw: how many are connected, what they applied and when, and every error that reached one of them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

Version = tuple[int, int]


@dataclass(slots=True)
class Ledger:
    """Shared by all edges of one process; used from one event loop."""

    spoke: set[str] = field(default_factory=set)
    """Edges whose status report was answered."""
    present: set[str] = field(default_factory=set)
    """Edges whose presence the broker has."""
    applied: dict[str, tuple[Version, float]] = field(default_factory=dict)
    """The policy that each runs, and when it began to (monotonic)."""
    errors: Counter[str] = field(default_factory=Counter)
    """Calls that ended with an error, by call and status."""
    told_to_wait: int = 0
    """Calls that were answered with a time to come again: no errors, they are obeyed."""
    acknowledged: int = 0
    """Events that the control plane has for good."""

    def fail(self, call: str, status: str) -> None:
        """One call of one edge failed."""
        self.errors[f"{call} {status}"] += 1

    def apply(self, node_id: str, version: Version) -> None:
        """An edge runs this policy from now on."""
        self.applied[node_id] = (version, time.monotonic())

    def seconds_until(self, share: float, version: Version, since: float, of: int) -> float | None:
        """How long it took from `since` until this share of `of` edges ran a version; None when they do not yet."""
        times = sorted(at for found, at in self.applied.values() if found == version)
        needed = max(1, round(share * of))
        return times[needed - 1] - since if len(times) >= needed else None
