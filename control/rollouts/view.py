"""A roll-out as people see it: values, and how a node stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from control.rollouts.decide import RolloutFacts
from control.rollouts.gates import Gates, NodeWord
from control.rollouts.models import Rollout, RolloutStep
from control.rollouts.repository import NodeRow, SiteRow
from control.rollouts.states import RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node of a roll-out."""

    node_id: str
    name: str
    site: str
    wave: int
    state: str
    """waiting | given | absent | applying | applied | failed | back | revoked"""
    given_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveView:
    """A wave, and how many of its nodes are how far."""

    wave: int
    nodes: int
    given: int
    applied: int
    failed: int
    absent: int
    back: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A roll-out."""

    id: str
    state: RolloutState
    turn: int
    wave: int
    """The wave under way, counted from 1; 0 before the first."""
    shares: Sequence[str]
    """The waves as they were asked for."""
    waves: Sequence[WaveView]
    soak_seconds: int
    soak_ends: datetime | None
    gates: Gates
    sha256: str
    started_at: datetime
    started_by: str
    changed_at: datetime
    text: str
    sites: Sequence[SiteRow]
    nodes: Sequence[NodeView]
    steps: Sequence[RolloutStep]

    @property
    def etag(self) -> str:
        """Of its present state, for If-Match."""
        return f'"{self.turn}"'

    @property
    def site_names(self) -> Sequence[str]:
        """The names of its sites."""
        return [one.site for one in self.sites]


def facts_of(row: Rollout, nodes: Sequence[NodeRow]) -> RolloutFacts:
    """What is decided by."""
    return RolloutFacts(
        state=RolloutState(row.state),
        wave=row.wave,
        soak=timedelta(seconds=row.soak_seconds),
        soak_ends=row.soak_ends,
        back_since=row.back_since,
        gates=Gates(**row.gates),
        nodes=[one.word for one in nodes],
    )


def view_of(
    row: Rollout, sites: Sequence[SiteRow], nodes: Sequence[NodeRow], steps: Sequence[RolloutStep]
) -> RolloutView:
    """What is shown."""
    names = {one.site_id: one.site for one in sites}
    shown = [
        NodeView(
            node_id=one.word.node_id,
            name=one.word.name,
            site=names[one.site_id],
            wave=one.word.wave + 1,
            state=node_state(one.word, one.reason),
            given_at=one.word.given_at,
            reason=one.reason,
        )
        for one in nodes
    ]
    return RolloutView(
        id=row.id,
        state=RolloutState(row.state),
        turn=row.turn,
        wave=row.wave + 1,
        shares=row.waves,
        waves=[_wave(number, shown) for number in sorted({one.wave for one in shown})],
        soak_seconds=row.soak_seconds,
        soak_ends=row.soak_ends,
        gates=Gates(**row.gates),
        sha256=row.sha256,
        started_at=row.started_at,
        started_by=row.started_by,
        changed_at=row.changed_at,
        text=row.text,
        sites=sites,
        nodes=shown,
        steps=steps,
    )


def node_state(word: NodeWord, reason: str) -> str:
    """How a node stands, in one word."""
    if word.revoked:
        return "revoked"
    if not word.given:
        return "waiting"
    if word.is_back:
        return "back"
    if reason or word.said in {"rejected", "rolled_back"}:
        return "failed"
    return word.said or ("absent" if word.absent else "given")


def _wave(number: int, nodes: Sequence[NodeView]) -> WaveView:
    mine = [one for one in nodes if one.wave == number]

    def count(*states: str) -> int:
        return sum(one.state in states for one in mine)

    return WaveView(
        wave=number,
        nodes=len(mine),
        given=sum(one.given_at is not None for one in mine),
        applied=count("applied"),
        failed=count("failed"),
        absent=count("absent"),
        back=count("back"),
    )
