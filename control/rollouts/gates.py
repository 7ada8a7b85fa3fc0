"""What a node that was given a policy must bear. Pure; every failure in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

FEWEST_INSTANCES = 20
"""A share of fewer says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The limits of a roll-out."""

    max_failed: int = 0
    """So many nodes may fail before everything goes back."""
    apply_seconds: int = 600
    """In which a node that is heard of must have taken what it was given."""
    silent_seconds: int = 180
    max_queue_growth: int = 1000
    max_parked_growth: int = 20
    max_refused_percent: int = 5
    max_restarts: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWord:
    """What is known of a node that belongs to a roll-out."""

    node_id: str
    name: str
    wave: int
    given_at: datetime | None = None
    absent: bool = False
    """It was not heard of when its turn came: it gets the policy when it is back, and nobody waits for it."""
    said: str = ""
    """Of what it was given: `` | applying | applied | rejected | rolled_back"""
    error: str = ""
    revoked: bool = False
    last_contact_at: datetime | None = None
    queue_growth: int = 0
    parked_growth: int = 0
    """Deliveries and images that were given up."""
    restarts: int = 0
    refused: int = 0
    accepted: int = 0
    is_back: bool = False
    """It runs what it had before, or something later."""

    @property
    def given(self) -> bool:
        """Whether it was given the policy."""
        return self.given_at is not None

    def is_silent(self, gates: Gates, now: datetime) -> bool:
        """Whether it was not heard of for too long."""
        limit = timedelta(seconds=gates.silent_seconds)
        return self.last_contact_at is None or now - self.last_contact_at > limit


def failure(node: NodeWord, gates: Gates, now: datetime) -> str:
    """Why a node does not bear what it was given; empty when it does, or nothing was given."""
    if node.given_at is None or node.revoked:
        return ""
    if node.said == "rejected":
        return f"refused it: {node.error}".removesuffix(": ")
    if node.said == "rolled_back":
        return f"took it and went back by itself: {node.error}".removesuffix(": ")
    if node.absent:
        return _worse(node, gates) if node.said == "applied" else ""
    if node.is_silent(gates, now):
        return f"has not been heard of for more than {gates.silent_seconds} seconds since it was given the policy"
    if node.said != "applied" and now - node.given_at > timedelta(seconds=gates.apply_seconds):
        return f"has not taken it within {gates.apply_seconds} seconds"
    return _worse(node, gates)


def _worse(node: NodeWord, gates: Gates) -> str:
    if node.queue_growth > gates.max_queue_growth:
        return f"has {node.queue_growth} more deliveries waiting than before"
    if node.parked_growth > gates.max_parked_growth:
        return f"has given up {node.parked_growth} deliveries or images since it was given the policy"
    if node.restarts > gates.max_restarts:
        return f"had to start programs of its own anew {node.restarts} times since it was given the policy"
    heard = node.refused + node.accepted
    if heard >= FEWEST_INSTANCES and 100 * node.refused > gates.max_refused_percent * heard:
        return f"has refused {node.refused} of {heard} images since it was given the policy"
    return ""
