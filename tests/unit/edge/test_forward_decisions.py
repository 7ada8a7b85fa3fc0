"""What a status means, and when to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.forward.base import Accepted, Refused, TryLater
from edge.forward.retry import Backoff
from edge.forward.statuses import outcome_of


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007])
def test_success_and_warnings_are_delivered(status: int) -> None:
    assert isinstance(outcome_of(status), Accepted)


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0122, 0x0117, 0x0124])
def test_what_will_never_fit_waits_for_a_person(status: int) -> None:
    outcome = outcome_of(status)
    assert isinstance(outcome, Refused)
    assert f"0x{status:04X}" in outcome.reason


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0213, 0x1234])
def test_everything_else_is_tried_again(status: int) -> None:
    assert isinstance(outcome_of(status), TryLater)


def test_a_duplicate_is_delivered_only_when_an_earlier_try_may_have_brought_it() -> None:
    assert isinstance(outcome_of(0x0111, attempts=2), Accepted)
    first = outcome_of(0x0111, attempts=1)
    assert isinstance(first, Refused)
    assert "holds an object under this UID" in first.reason


@given(st.integers(0, 0xFFFF), st.integers(1, 3))
def test_every_status_has_a_meaning_and_only_named_ones_count_as_delivered(status: int, attempts: int) -> None:
    delivered = isinstance(outcome_of(status, attempts=attempts), Accepted)
    named = status in {0x0000, 0x0001, 0x0107, 0x0116} or 0xB000 <= status <= 0xBFFF
    assert delivered == (named or (status == 0x0111 and attempts > 1))


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.1, 10), st.floats(10, 600))
def test_a_pause_never_passes_the_cap_and_never_vanishes(failures: int, chance: float, base: float, cap: float) -> None:
    pause = Backoff(base=base, cap=cap).pause(failures, lambda: chance)
    assert base / 2 <= pause <= cap


def test_pauses_double_until_the_cap() -> None:
    pauses = [Backoff(base=1, cap=60).pause(n, lambda: 1.0) for n in range(1, 9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
