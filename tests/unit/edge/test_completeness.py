"""When a series or study is complete: never before its quiet, always by its cap, whatever the order of what happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge.buffer.completeness import MOST_QUIET_AT_ONCE, Gathering, time_passed

SECOND = timedelta(seconds=1)
seconds = st.integers(0, 30).map(lambda count: count * SECOND)
steps = st.lists(st.one_of(st.just("image"), st.tuples(seconds, st.booleans())), max_size=60)
groups = st.builds(
    lambda quiet, more: Gathering(quiet=quiet * SECOND, at_most=(quiet + more) * SECOND),
    st.integers(1, 60),
    st.integers(0, 300),
)


def image_came(group: Gathering) -> Gathering:
    """Its quiet begins anew; its cap does not (`join_gathering`)."""
    return replace(group, quiet_for=timedelta())


def after(group: Gathering, happened: list[object]) -> Gathering:
    """The group after all of this."""
    for step in happened:
        group = time_passed(group, step[0], busy=step[1]) if isinstance(step, tuple) else image_came(group)
    return group


@given(groups, steps)
def test_it_never_goes_before_its_quiet_or_its_cap(group: Gathering, happened: list[object]) -> None:
    quiet = whole = timedelta()
    for step in happened:
        group = after(group, [step])
        if isinstance(step, tuple):
            whole += step[0]
            quiet = timedelta() if step[1] else quiet + step[0]
        else:
            quiet = timedelta()
        assert group.complete <= (quiet >= group.quiet or whole >= group.at_most)
        assert (group.left == timedelta()) == group.complete


@given(groups, steps)
def test_it_always_goes_by_its_cap(group: Gathering, happened: list[object]) -> None:
    whole = sum((step[0] for step in happened if isinstance(step, tuple)), timedelta())
    group = after(group, happened)
    assert group.complete or whole < group.at_most
    assert time_passed(group, group.cap_left, busy=True).complete


@given(groups, steps)
def test_it_goes_after_its_quiet_when_nothing_happens_any_more(group: Gathering, happened: list[object]) -> None:
    group = after(group, happened)
    for _second in range(60):
        group = time_passed(group, SECOND, busy=False)
    assert group.complete


@given(groups, st.permutations(["image", "image", (SECOND, True), (2 * SECOND, True), (0 * SECOND, False)]))
def test_the_order_of_what_happens_together_does_not_matter(group: Gathering, happened: list[object]) -> None:
    assert after(group, happened) == replace(group, open_for=3 * SECOND)


@given(groups, seconds)
def test_who_did_not_look_for_long_has_seen_no_long_quiet(group: Gathering, missed: timedelta) -> None:
    assert time_passed(group, missed, busy=False).quiet_for <= MOST_QUIET_AT_ONCE


@given(groups, seconds)
def test_time_that_runs_backwards_changes_nothing(group: Gathering, back: timedelta) -> None:
    assert time_passed(group, -back, busy=False) == group
