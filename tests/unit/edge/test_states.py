"""The table of a delivery's transitions."""

from __future__ import annotations

import pytest

from edge.buffer.states import TRANSITIONS, UNFINISHED, DeliveryEvent, DeliveryState, after, sources, target
from edge.errors import IllegalTransition

ENDED = (DeliveryState.SUPERSEDED, DeliveryState.DISCARDED)


def test_every_state_but_the_last_ones_has_a_way_out() -> None:
    assert {state for state, _event in TRANSITIONS} == {*UNFINISHED, *ENDED}
    assert set(DeliveryState) == {*UNFINISHED, *ENDED, DeliveryState.DELIVERED}


def test_what_was_superseded_is_never_sent_again_by_itself_or_by_a_person() -> None:
    events = {event for state, event in TRANSITIONS if state is DeliveryState.SUPERSEDED}
    assert events == {DeliveryEvent.ACCEPTED}


def test_what_was_discarded_is_sent_again_only_when_a_person_sends_it_there_instead_of_elsewhere() -> None:
    events = {event for state, event in TRANSITIONS if state is DeliveryState.DISCARDED}
    assert events == {DeliveryEvent.ACCEPTED, DeliveryEvent.SENT_HERE_BY_OPERATOR}


@pytest.mark.parametrize(
    "event", [DeliveryEvent.REPLACED, DeliveryEvent.HELD_BY_OPERATOR, DeliveryEvent.DISCARDED_BY_OPERATOR]
)
def test_what_is_being_sent_is_not_torn_out_of_its_senders_hands(event: DeliveryEvent) -> None:
    assert (DeliveryState.SENDING, event) not in TRANSITIONS


def test_every_unfinished_delivery_can_still_be_delivered() -> None:
    for start in UNFINISHED:
        reached, frontier = {start}, [start]
        while frontier:
            here = frontier.pop()
            for (state, _event), result in TRANSITIONS.items():
                if state is here and result not in reached:
                    reached.add(result)
                    frontier.append(result)
        assert DeliveryState.DELIVERED in reached


def test_delivered_is_reached_only_by_the_destinations_own_success() -> None:
    ways = {(state, event) for (state, event), result in TRANSITIONS.items() if result is DeliveryState.DELIVERED}
    # All but the first two: its lease ran out while it was being sent.
    late = {DeliveryState.DUE, DeliveryState.HELD, *ENDED}
    assert ways == {
        (DeliveryState.SENDING, DeliveryEvent.ACCEPTED),
        (DeliveryState.VERIFYING, DeliveryEvent.VERIFIED),
        *((state, DeliveryEvent.ACCEPTED) for state in late),
    }


def test_what_is_verified_is_never_claimed_and_a_person_can_only_end_it() -> None:
    events = {event for state, event in TRANSITIONS if state is DeliveryState.VERIFYING}
    assert events == {
        DeliveryEvent.VERIFIED,
        DeliveryEvent.MISSING,
        DeliveryEvent.NEVER_FOUND,
        DeliveryEvent.DISCARDED_BY_OPERATOR,
    }


def test_a_success_counts_although_the_lease_ran_out_while_it_was_sent() -> None:
    assert after(DeliveryState.DUE, DeliveryEvent.ACCEPTED) is DeliveryState.DELIVERED


def test_every_event_leads_to_one_state_wherever_it_happens() -> None:
    for event in DeliveryEvent:
        assert all(after(state, event) is target(event) for state in sources(event))


def test_a_delivered_instance_cannot_be_claimed_again() -> None:
    with pytest.raises(IllegalTransition, match="delivered cannot be claimed"):
        after(DeliveryState.DELIVERED, DeliveryEvent.CLAIMED)


def test_every_state_and_event_is_used() -> None:
    assert {event for _state, event in TRANSITIONS} == set(DeliveryEvent)
    assert {state for state, _event in TRANSITIONS} | set(TRANSITIONS.values()) == set(DeliveryState)
