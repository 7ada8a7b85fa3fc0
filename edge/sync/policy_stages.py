"""The way of one offered policy through this node, as one table (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_APPLIED,
    ATTEMPT_STATE_APPLYING,
    ATTEMPT_STATE_REJECTED,
    AttemptState,
)


class Stage(StrEnum):
    """How far a policy has come. The words go to the centre as `PolicyStatus.stage`."""

    OFFERED = "offered"
    VERIFIED = "verified"
    DRY_RUN = "dry_run"
    ON_PROBATION = "on_probation"
    COMMITTED = "committed"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


class Event(StrEnum):
    """What can happen to it."""

    SIGNED_FOR_US = "signed_for_us"
    NOT_FOR_US = "not_for_us"
    LOADED = "loaded"
    DOES_NOT_LOAD = "does_not_load"
    SAMPLE_WENT_WELL = "sample_went_well"
    SAMPLE_WENT_BADLY = "sample_went_badly"
    CRASHED_TOO_OFTEN = "crashed_too_often"
    FAILED_BY_ACCIDENT = "failed_by_accident"
    STAYED_HEALTHY = "stayed_healthy"
    BECAME_UNHEALTHY = "became_unhealthy"


_S, _E = Stage, Event

TRANSITIONS: Mapping[tuple[Stage, Event], Stage] = {
    (_S.OFFERED, _E.SIGNED_FOR_US): _S.VERIFIED,
    (_S.OFFERED, _E.NOT_FOR_US): _S.REJECTED,  # another site's or mesh's, altered, or older than what runs
    (_S.VERIFIED, _E.LOADED): _S.DRY_RUN,
    (_S.VERIFIED, _E.DOES_NOT_LOAD): _S.REJECTED,
    (_S.VERIFIED, _E.CRASHED_TOO_OFTEN): _S.REJECTED,  # core died each time that it tried
    (_S.VERIFIED, _E.FAILED_BY_ACCIDENT): _S.OFFERED,  # a mistake of ours is not the policy's fault: tried again
    (_S.DRY_RUN, _E.SAMPLE_WENT_WELL): _S.ON_PROBATION,
    (_S.DRY_RUN, _E.SAMPLE_WENT_BADLY): _S.REJECTED,
    (_S.DRY_RUN, _E.DOES_NOT_LOAD): _S.REJECTED,
    (_S.DRY_RUN, _E.FAILED_BY_ACCIDENT): _S.OFFERED,
    (_S.ON_PROBATION, _E.STAYED_HEALTHY): _S.COMMITTED,
    (_S.ON_PROBATION, _E.BECAME_UNHEALTHY): _S.ROLLED_BACK,
    (_S.ON_PROBATION, _E.CRASHED_TOO_OFTEN): _S.ROLLED_BACK,
}

ENDS = frozenset({_S.COMMITTED, _S.REJECTED, _S.ROLLED_BACK})
"""Nothing follows by itself; only another offer."""

TOLD_AS: Mapping[Stage, AttemptState.ValueType] = {
    _S.OFFERED: ATTEMPT_STATE_APPLYING,
    _S.VERIFIED: ATTEMPT_STATE_APPLYING,
    _S.DRY_RUN: ATTEMPT_STATE_APPLYING,
    _S.ON_PROBATION: ATTEMPT_STATE_APPLYING,  # applied means healthy, too
    _S.COMMITTED: ATTEMPT_STATE_APPLIED,
    _S.REJECTED: ATTEMPT_STATE_REJECTED,
    _S.ROLLED_BACK: ATTEMPT_STATE_REJECTED,
}
"""The same in the words of a centre that knows no stages."""


def after(stage: Stage, event: Event) -> Stage:
    """The stage that follows.

    Raises:
        ValueError: this cannot happen there; a mistake of ours.
    """
    try:
        return TRANSITIONS[stage, event]
    except KeyError:
        raise ValueError(f"a policy that is {stage} cannot be {event}") from None
