"""When a policy on probation stays and when it goes: numbers in, a verdict out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sync.probation import Counts, Harm, Healthy, NotYet, Terms, Verdict, judge_probation

TERMS = Terms(seconds=60)
QUIET = Counts()
BUSY = Counts(accepted=1000, delivered=990, failed=8, parked=2)


def verdict(then: Counts, now: Counts, *, seconds: float = 30, can_go_back: bool = True) -> Verdict:
    return judge_probation(then, now, seconds=seconds, terms=TERMS, can_go_back=can_go_back)


@pytest.mark.parametrize(
    ("then", "now", "code"),
    [
        (QUIET, Counts(restarts=3), "crashes"),
        (Counts(restarts=40), Counts(restarts=43), "crashes"),
        (QUIET, Counts(accepted=10, parked=10), "failing"),
        (QUIET, Counts(accepted=10, failed=10), "failing"),
        (QUIET, Counts(delivered=20, failed=6, parked=6), "failing"),
        (BUSY, Counts(accepted=1030, delivered=1000, failed=8, parked=22), "failing"),
        (QUIET, Counts(accepted=10, quarantined=10), "quarantined"),
        (QUIET, Counts(accepted=30, delivered=20, quarantined=10), "quarantined"),
        (QUIET, Counts(accepted=10, unrouted=10), "unrouted"),
        (BUSY, Counts(accepted=1020, delivered=990, failed=8, parked=2, unrouted=19), "unrouted"),
    ],
)
def test_harm_is_named(then: Counts, now: Counts, code: str) -> None:
    found = verdict(then, now)
    assert isinstance(found, Harm)
    assert found.code == code
    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (QUIET, QUIET),
        (QUIET, Counts(restarts=2)),
        (QUIET, Counts(accepted=9, parked=9)),
        (QUIET, Counts(accepted=9, unrouted=9)),
        (QUIET, Counts(accepted=1000, delivered=990, parked=10)),
        (QUIET, Counts(accepted=100, delivered=20, unrouted=80)),
        # What went wrong before goes on going wrong.
        (Counts(accepted=100, failed=100), Counts(accepted=200, failed=200)),
        (Counts(accepted=100, quarantined=100), Counts(accepted=200, quarantined=200)),
        (Counts(accepted=100, unrouted=95), Counts(accepted=200, unrouted=195)),
        # What nobody took before leaves.
        (Counts(accepted=100, unrouted=95), Counts(accepted=200, delivered=100, unrouted=20)),
        # A long queue alone says nothing.
        (QUIET, Counts(accepted=5000, delivered=10, waiting=4990)),
    ],
)
def test_chance_old_trouble_and_queues_are_no_harm(then: Counts, now: Counts) -> None:
    assert isinstance(verdict(then, now), NotYet)
    assert isinstance(verdict(then, now, seconds=60), Healthy)


def test_a_node_that_started_anew_counts_from_nothing() -> None:
    assert Counts(delivered=5, unrouted=3).since(Counts(delivered=900, unrouted=7)) == Counts(delivered=5)
    assert isinstance(verdict(BUSY, Counts(accepted=12, parked=12)), Harm)


def test_without_a_policy_to_go_back_to_it_stays() -> None:
    assert isinstance(verdict(QUIET, Counts(parked=50), can_go_back=False), NotYet)
    assert isinstance(verdict(QUIET, Counts(parked=50), can_go_back=False, seconds=61), Healthy)


def test_harm_at_the_last_moment_is_still_harm() -> None:
    assert isinstance(verdict(QUIET, Counts(parked=50), seconds=1000), Harm)


NUMBERS = st.builds(
    Counts,
    **{
        name: st.integers(0, 300)
        for name in (
            *("accepted", "delivered", "failed", "parked"),
            *("quarantined", "restarts", "unrouted", "waiting"),
        )
    },
)


@given(then=NUMBERS, now=NUMBERS, seconds=st.floats(0, 1000))
def test_there_is_always_a_verdict_and_nothing_added_is_no_harm(then: Counts, now: Counts, seconds: float) -> None:
    assert verdict(then, now, seconds=seconds) is not None
    assert not isinstance(verdict(then, then, seconds=seconds), Harm)
    assert Counts.from_dict(now.to_dict()) == now
