"""A node tells HAProxy how much it wants: all of its share, a part, or nothing and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ingest.willingness import Facts, answer, is_deep, share

WELL = Facts(
    asked_to_drain=False,
    room_on_disk=True,
    disk_silent_seconds=0.4,
    core_silent_seconds=0.3,
    waiting=10,
    most_waiting=100,
    associations=0,
    most_associations=200,
)


def test_a_node_that_is_well_wants_its_whole_share() -> None:
    assert answer(WELL) == "ready up 100%\n"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(WELL, asked_to_drain=True), "it drains, as somebody asked"),
        (replace(WELL, room_on_disk=False), "its disk is nearly full"),
        (replace(WELL, disk_silent_seconds=3.0), "its disk takes nothing"),
        (replace(WELL, core_silent_seconds=3.0), "its core does not answer"),
        (replace(WELL, waiting=101), "its queue is too deep"),
    ],
)
def test_a_node_that_should_get_nothing_says_why(facts: Facts, reason: str) -> None:
    assert answer(facts) == f"drain #{reason}\n"


def test_a_queue_without_limit_is_never_too_deep() -> None:
    assert answer(replace(WELL, waiting=10**9, most_waiting=0)) == "ready up 100%\n"


def test_a_queue_that_was_too_deep_must_shrink_before_it_counts_as_well() -> None:
    assert not is_deep(replace(WELL, waiting=90), was_deep=False)
    assert is_deep(replace(WELL, waiting=90), was_deep=True)
    assert not is_deep(replace(WELL, waiting=80), was_deep=True)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_share_falls_with_every_open_association_and_never_to_nothing(few: int, more: int) -> None:
    few, more = sorted((few, more))
    first, second = (share(replace(WELL, associations=count)) for count in (few, more))
    assert 1 <= second <= first <= 100


def test_a_full_node_still_wants_a_little_and_a_half_full_one_half() -> None:
    assert share(replace(WELL, associations=200)) == 1
    assert share(replace(WELL, associations=100)) == 50
    assert share(replace(WELL, associations=1)) == 100
