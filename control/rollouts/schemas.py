"""What roll-outs look like over REST."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from control.policies.service import MAX_DOCUMENT_BYTES
from control.principals import Scope, within
from control.rollouts.gates import Gates
from control.rollouts.states import Happening, RolloutState
from control.rollouts.view import RolloutView
from control.rollouts.waves import DEFAULT_WAVES, MOST_WAVES

SiteName = Annotated[str, Field(max_length=63)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Seconds = Annotated[int, Field(ge=1, le=7 * 24 * 3600)]


class GateLimits(BaseModel):
    """What a node that was given the policy must bear. When more than `max_failed` do not, everything goes back."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    max_failed: Count = 0
    apply_seconds: Seconds = 600
    """In which a node that is heard of must have taken it."""
    silent_seconds: Annotated[int, Field(ge=90, le=7 * 24 * 3600)] = 180
    max_queue_growth: Count = 1000
    """Deliveries waiting more than before."""
    max_parked_growth: Count = 20
    """Deliveries and images given up since: parked, quarantined, taken by no route."""
    max_refused_percent: Annotated[int, Field(ge=0, le=100)] = 5
    """Of the images since."""
    max_restarts: Count = 3
    """Of the node's own programs since."""

    def gates(self) -> Gates:
        """As the rules know them."""
        return Gates(**self.model_dump())


class NewRollout(BaseModel):
    """A policy, where it shall go, and how carefully."""

    model_config = ConfigDict(extra="forbid")

    sites: Annotated[list[SiteName], Field(min_length=1, max_length=1000, examples=[["north"]])]
    document: Annotated[str, Field(max_length=MAX_DOCUMENT_BYTES)]
    """The text of the policy: the next version of each site."""
    waves: Annotated[list[Annotated[str, Field(max_length=8)]], Field(min_length=1, max_length=MOST_WAVES)] = list(
        DEFAULT_WAVES
    )
    """Numbers of nodes, or shares; the last one is 100%."""
    soak_seconds: Annotated[int, Field(ge=0, le=30 * 24 * 3600)] = 600
    """How long all nodes of a wave are watched before the next one."""
    gates: GateLimits = GateLimits()


class WaveItem(BaseModel):
    """A wave, and how many of its nodes are how far."""

    wave: int
    nodes: int
    given: int
    applied: int
    failed: int
    absent: int
    back: int


class RolloutSiteItem(BaseModel):
    """A site: the version that it is given, and the one that it had."""

    model_config = ConfigDict(from_attributes=True)

    site: str
    generation: int
    version: int
    before_version: int
    back_generation: int | None


class RolloutNodeItem(BaseModel):
    """A node. `state`: waiting, given, absent, applying, applied, failed (then with the reason), back or revoked."""

    node_id: str
    name: str
    site: str
    wave: int
    state: str
    given_at: datetime | None
    reason: str


class RolloutStepItem(BaseModel):
    """A step that was taken."""

    model_config = ConfigDict(from_attributes=True)

    turn: int
    at: datetime
    actor: str
    happening: Happening
    state: RolloutState
    text: str


class RolloutSummary(BaseModel):
    """A roll-out. `wave` counts from 1 and is 0 before the first."""

    id: str
    state: RolloutState
    text: str
    wave: int
    shares: list[str]
    soak_seconds: int
    soak_ends: datetime | None
    gates: GateLimits
    sha256: str
    started_at: datetime
    started_by: str
    changed_at: datetime
    sites: list[RolloutSiteItem]


class RolloutItem(RolloutSummary):
    """A roll-out with its waves, its nodes and its steps."""

    waves: list[WaveItem]
    nodes: list[RolloutNodeItem]
    steps: list[RolloutStepItem]


def summary(view: RolloutView, scope: Scope) -> RolloutSummary:
    """A roll-out in a list, with the sites that the caller may see."""
    return RolloutSummary(
        id=view.id,
        state=view.state,
        text=view.text if _sees_all(view, scope) else "",
        wave=view.wave,
        shares=list(view.shares),
        soak_seconds=view.soak_seconds,
        soak_ends=view.soak_ends,
        gates=GateLimits.model_validate(view.gates),
        sha256=view.sha256,
        started_at=view.started_at,
        started_by=view.started_by,
        changed_at=view.changed_at,
        sites=[RolloutSiteItem.model_validate(one) for one in view.sites if within(scope, one.site)],
    )


def item(view: RolloutView, scope: Scope) -> RolloutItem:
    """A roll-out in full, with what is of the sites that the caller may see."""
    steps = view.steps if _sees_all(view, scope) else []
    return RolloutItem(
        **dict(summary(view, scope)),
        waves=[WaveItem(**asdict(one)) for one in view.waves],
        nodes=[RolloutNodeItem(**asdict(one)) for one in view.nodes if within(scope, one.site)],
        steps=[RolloutStepItem.model_validate(one) for one in steps],
    )


def _sees_all(view: RolloutView, scope: Scope) -> bool:
    """Words of steps name nodes of any site."""
    return all(within(scope, one) for one in view.site_names)
