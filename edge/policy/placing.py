"""What a condition can know of place and time, put beside what is known of the sender (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from edge.model import AssociationFacts
from edge.policy.cel import AROUND
from edge.policy.model import Policy, Route
from edge.window import DAYS

CLOCK = frozenset({"received_day", "received_time"})
"""What needs a zone."""


def placed(policy: Policy, facts: AssociationFacts, *, site: str, received_at: datetime) -> AssociationFacts:
    """The facts for a decision: the very same when no condition of the policy reads place or time."""
    if not policy.around:
        return facts
    here = received_at.astimezone(ZoneInfo(policy.zone)) if policy.zone else received_at
    return replace(facts, site=site, received_day=DAYS[here.weekday()], received_time=f"{here:%H:%M}")


def read_around(routes: Iterable[Route]) -> tuple[str, ...]:
    """What of place and time these routes read."""
    used = {name for route in routes if route.condition is not None for name in route.condition.facts}
    return tuple(name for name in AROUND if name in used)
