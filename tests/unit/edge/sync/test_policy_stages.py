"""The way of a policy is one table: every stage has a word for the centre, and every end is one."""

from __future__ import annotations

import pytest

from edge.sync.policy_stages import ENDS, TOLD_AS, TRANSITIONS, Event, Stage, after
from mesh.v1.sync_pb2 import ATTEMPT_STATE_APPLIED, ATTEMPT_STATE_APPLYING, ATTEMPT_STATE_REJECTED


def test_every_stage_has_a_word_for_a_centre_that_knows_no_stages() -> None:
    assert set(TOLD_AS) == set(Stage)


def test_only_a_committed_policy_is_told_as_applied() -> None:
    assert [stage for stage, state in TOLD_AS.items() if state == ATTEMPT_STATE_APPLIED] == [Stage.COMMITTED]
    assert TOLD_AS[Stage.ON_PROBATION] == ATTEMPT_STATE_APPLYING
    assert TOLD_AS[Stage.ROLLED_BACK] == ATTEMPT_STATE_REJECTED


def test_nothing_follows_an_end_and_something_follows_everything_else() -> None:
    assert {stage for stage, _ in TRANSITIONS} == set(Stage) - ENDS


def test_a_policy_runs_only_after_it_was_verified_and_tried() -> None:
    """Backwards from probation there is one way only."""
    assert {pair for pair, result in TRANSITIONS.items() if result is Stage.ON_PROBATION} == {
        (Stage.DRY_RUN, Event.SAMPLE_WENT_WELL)
    }
    assert {pair for pair, result in TRANSITIONS.items() if result is Stage.DRY_RUN} == {(Stage.VERIFIED, Event.LOADED)}
    assert {pair for pair, result in TRANSITIONS.items() if result is Stage.VERIFIED} == {
        (Stage.OFFERED, Event.SIGNED_FOR_US)
    }
    assert {pair for pair, result in TRANSITIONS.items() if result is Stage.COMMITTED} == {
        (Stage.ON_PROBATION, Event.STAYED_HEALTHY)
    }


def test_every_event_happens_somewhere_and_nowhere_else() -> None:
    for event in Event:
        assert any(possible is event for _, possible in TRANSITIONS)
    for stage in Stage:
        for event in Event:
            if (stage, event) not in TRANSITIONS:
                with pytest.raises(ValueError, match="cannot be"):
                    after(stage, event)
