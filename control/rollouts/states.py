"""The life of a roll-out: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class RolloutState(StrEnum):
    """Where a roll-out is."""

    PLANNED = "planned"
    """Nobody was given anything."""
    RUNNING = "running"
    """The nodes of a wave were given the policy, and not all of them have it."""
    SOAKING = "soaking"
    """All of them have it, and are watched for a while."""
    PAUSED = "paused"
    """It does not go on by itself; what is watched is watched still."""
    ROLLING_BACK = "rolling_back"
    """Whoever was given the policy was given the one before again."""
    ROLLED_BACK = "rolled_back"
    """They have it."""
    DONE = "done"
    FAILED = "failed"
    """A node that is heard of did not take back the policy before."""


class Happening(StrEnum):
    """What happens to a roll-out."""

    BEGIN = "begin"
    ALL_APPLIED = "all applied"
    SOAKED = "soaked"
    FINISHED = "finished"
    GATE_FAILED = "gate failed"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ALL_BACK = "all back"
    STUCK = "stuck"


TABLE: Mapping[tuple[RolloutState, Happening], RolloutState] = {
    (RolloutState.PLANNED, Happening.BEGIN): RolloutState.RUNNING,
    (RolloutState.PLANNED, Happening.ABORT): RolloutState.ROLLING_BACK,
    (RolloutState.RUNNING, Happening.ALL_APPLIED): RolloutState.SOAKING,
    (RolloutState.RUNNING, Happening.GATE_FAILED): RolloutState.ROLLING_BACK,
    (RolloutState.RUNNING, Happening.PAUSE): RolloutState.PAUSED,
    (RolloutState.RUNNING, Happening.ABORT): RolloutState.ROLLING_BACK,
    (RolloutState.SOAKING, Happening.SOAKED): RolloutState.RUNNING,
    (RolloutState.SOAKING, Happening.FINISHED): RolloutState.DONE,
    (RolloutState.SOAKING, Happening.GATE_FAILED): RolloutState.ROLLING_BACK,
    (RolloutState.SOAKING, Happening.PAUSE): RolloutState.PAUSED,
    (RolloutState.SOAKING, Happening.ABORT): RolloutState.ROLLING_BACK,
    # The wave that was under way is waited for again, and soaks again.
    (RolloutState.PAUSED, Happening.RESUME): RolloutState.RUNNING,
    (RolloutState.PAUSED, Happening.GATE_FAILED): RolloutState.ROLLING_BACK,
    (RolloutState.PAUSED, Happening.ABORT): RolloutState.ROLLING_BACK,
    (RolloutState.ROLLING_BACK, Happening.ALL_BACK): RolloutState.ROLLED_BACK,
    (RolloutState.ROLLING_BACK, Happening.STUCK): RolloutState.FAILED,
}
"""(state, happening) -> state. A pair that is not here cannot be."""

ENDED = frozenset({RolloutState.ROLLED_BACK, RolloutState.DONE, RolloutState.FAILED})
LIVE = frozenset(RolloutState) - ENDED


def after(state: RolloutState, happening: Happening) -> RolloutState | None:
    """The state after a happening; None when it cannot happen now."""
    return TABLE.get((state, happening))
