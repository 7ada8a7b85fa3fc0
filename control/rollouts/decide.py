"""What happens next to a roll-out. Pure: the facts and the time in, the happening and its words out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from control.rollouts.gates import Gates, NodeWord, failure
from control.rollouts.states import Happening, RolloutState

HEARD_OF = timedelta(seconds=75)
"""Every node that lives is heard of in this time."""
NAMED = 3
"""So many nodes are named in a sentence; all of them have their words in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFacts:
    """A roll-out and its nodes at one moment."""

    state: RolloutState
    wave: int
    """The wave that was begun last; -1 before the first."""
    soak: timedelta
    soak_ends: datetime | None
    """Set while it soaks."""
    back_since: datetime | None
    """When it began to go back."""
    gates: Gates
    nodes: Sequence[NodeWord]

    @property
    def last_wave(self) -> int:
        """The number of the last wave."""
        return max((one.wave for one in self.nodes), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens now."""

    happening: Happening
    text: str
    wave: int
    """The wave that is begun, or that it is about."""
    gives: tuple[str, ...] = ()
    """The nodes that are given the policy now."""
    soak_ends: datetime | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    """Node id -> why it failed."""


def step(facts: RolloutFacts, now: datetime) -> Step | None:
    """What happens next by itself; None when there is nothing to do but wait."""
    match facts.state:
        case RolloutState.PLANNED:
            return _wave(facts, Happening.BEGIN, 0)
        case RolloutState.RUNNING:
            return _failed(facts, now) or _all_applied(facts, now)
        case RolloutState.SOAKING:
            return _failed(facts, now) or _soaked(facts, now)
        case RolloutState.PAUSED:
            return _failed(facts, now)
        case RolloutState.ROLLING_BACK:
            return _back(facts, now)
        case _:
            return None


def _failed(facts: RolloutFacts, now: datetime) -> Step | None:
    words = {one.node_id: why for one in facts.nodes if (why := failure(one, facts.gates, now))}
    if len(words) > facts.gates.max_failed:
        named = [f"{one.name} {words[one.node_id]}" for one in facts.nodes if one.node_id in words]
        return Step(happening=Happening.GATE_FAILED, text=_sentence(named), wave=facts.wave, words=words)
    given = [one for one in facts.nodes if one.given and not one.revoked]
    waited = max((now - one.given_at for one in given if one.given_at is not None), default=timedelta())
    if waited > timedelta(seconds=facts.gates.apply_seconds) and not any(one.said == "applied" for one in given):
        return Step(
            happening=Happening.GATE_FAILED, text="No node that was given the policy has taken it.", wave=facts.wave
        )
    return None


def _all_applied(facts: RolloutFacts, now: datetime) -> Step | None:
    awaited = [
        one
        for one in facts.nodes
        if one.given and not one.absent and not one.revoked and not failure(one, facts.gates, now)
    ]
    taken = [one for one in facts.nodes if one.given and not one.revoked and one.said == "applied"]
    if not taken or any(one.said != "applied" for one in awaited):
        return None
    ends = now + facts.soak
    text = f"All nodes of wave {facts.wave + 1} that are heard of have it."
    return Step(happening=Happening.ALL_APPLIED, text=text, wave=facts.wave, soak_ends=ends)


def _soaked(facts: RolloutFacts, now: datetime) -> Step | None:
    if facts.soak_ends is None or now < facts.soak_ends:
        return None
    if _unheard(facts, min(facts.soak_ends - facts.soak, now - HEARD_OF), now):
        return None
    if facts.wave >= facts.last_wave:
        return Step(happening=Happening.FINISHED, text="Every site runs the policy now.", wave=facts.wave)
    return _wave(facts, Happening.SOAKED, facts.wave + 1)


def _unheard(facts: RolloutFacts, since: datetime, now: datetime) -> bool:
    """Whether a node was not heard of since then: it was not watched, and may be dead already."""
    return any(
        one.last_contact_at is None or one.last_contact_at < since
        for one in facts.nodes
        if one.given and not one.absent and not one.revoked and not failure(one, facts.gates, now)
    )


def _wave(facts: RolloutFacts, happening: Happening, wave: int) -> Step:
    gives = tuple(one.node_id for one in facts.nodes if one.wave == wave and not one.given and not one.revoked)
    many = "1 node is" if len(gives) == 1 else f"{len(gives)} nodes are"
    return Step(happening=happening, text=f"Wave {wave + 1}: {many} given the policy.", wave=wave, gives=gives)


def _back(facts: RolloutFacts, now: datetime) -> Step | None:
    waited = [
        one
        for one in facts.nodes
        if one.given and not one.revoked and not one.is_back and not one.is_silent(facts.gates, now)
    ]
    if not waited:
        return Step(
            happening=Happening.ALL_BACK,
            text="All nodes that are heard of run what they ran before.",
            wave=facts.wave,
            words={
                one.node_id: "is not heard of; it goes back when it is"
                for one in facts.nodes
                if one.given and not one.revoked and not one.is_back
            },
        )
    since = facts.back_since or now
    if now - since <= timedelta(seconds=facts.gates.apply_seconds):
        return None
    words = {one.node_id: "has not taken back the policy before" for one in waited}
    named = [f"{one.name} {words[one.node_id]}" for one in waited]
    return Step(happening=Happening.STUCK, text=_sentence(named), wave=facts.wave, words=words)


def _sentence(parts: Sequence[str]) -> str:
    more = f"; and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return f"{'; '.join(parts[:NAMED])}{more}."
