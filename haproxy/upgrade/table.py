"""What comes after each step of one node's upgrade: the whole of it is one table. Pure.

A node that was upgraded and is not well goes the way back. One that is not well after that stays out of the pools,
where it harms nobody, and a person is told; no further node is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Step(StrEnum):
    """Where the upgrade of a node stands."""

    DRAIN = "drain"
    UPGRADE = "upgrade"
    PROBE = "probe"
    READY = "ready"
    DRAIN_AGAIN = "drain-again"
    ROLL_BACK = "roll-back"
    PROBE_BACK = "probe-back"
    READY_BACK = "ready-back"
    DONE = "done"
    """It is upgraded and takes associations."""
    BACK = "back"
    """It is as it was before and takes associations."""
    STUCK = "stuck"
    """It takes none, and a person must look."""


ENDS = frozenset({Step.DONE, Step.BACK, Step.STUCK})

AFTER: Mapping[tuple[Step, bool], Step] = {
    (Step.DRAIN, True): Step.UPGRADE,
    (Step.DRAIN, False): Step.READY_BACK,
    (Step.UPGRADE, True): Step.PROBE,
    (Step.UPGRADE, False): Step.ROLL_BACK,
    (Step.PROBE, True): Step.READY,
    (Step.PROBE, False): Step.ROLL_BACK,
    (Step.READY, True): Step.DONE,
    (Step.READY, False): Step.DRAIN_AGAIN,
    (Step.DRAIN_AGAIN, True): Step.ROLL_BACK,
    (Step.DRAIN_AGAIN, False): Step.ROLL_BACK,
    (Step.ROLL_BACK, True): Step.PROBE_BACK,
    (Step.ROLL_BACK, False): Step.STUCK,
    (Step.PROBE_BACK, True): Step.READY_BACK,
    (Step.PROBE_BACK, False): Step.STUCK,
    (Step.READY_BACK, True): Step.BACK,
    (Step.READY_BACK, False): Step.STUCK,
}
"""By step and whether it went well."""


def after_interruption(step: Step) -> Step:
    """Where to go on when the program was ended in the middle of a step.

    Whether a script did its work is not known: upgrades and the way back are done again, from a node that is drained.
    """
    match step:
        case Step.DRAIN | Step.UPGRADE | Step.PROBE | Step.READY:
            return Step.DRAIN
        case Step.DRAIN_AGAIN | Step.ROLL_BACK | Step.PROBE_BACK | Step.READY_BACK:
            return Step.DRAIN_AGAIN
        case _:
            return step
