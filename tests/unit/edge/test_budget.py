"""A byte budget: on the whole never more than the rate, whoever takes; the urgent never waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.forward.budget import BURST_SECONDS, Meter, Meters
from edge.model import Budget, DicomDestination, GroupDestination
from edge.orders import Orders
from tests.clocks import JumpingClock

RATE = 100_000
TAKES = st.lists(st.tuples(st.integers(1, 300_000), st.booleans(), st.floats(0, 5)), min_size=1, max_size=40)


@given(TAKES)
def test_what_went_is_never_more_than_the_rate_allows(takes: list[tuple[int, bool, float]]) -> None:
    clock = JumpingClock()
    meter, gone, urgent_bytes = Meter(RATE, clock=clock), 0, 0
    for count, urgent, pause in takes:
        clock.wait(lambda _seconds: None, pause)
        before = clock.monotonic()
        meter.take(count, urgent=urgent)
        if urgent:
            assert clock.monotonic() == before
            urgent_bytes += count
        gone += count
        allowed = RATE * (clock.monotonic() + BURST_SECONDS)
        assert gone <= allowed + urgent_bytes + 1e-3


@given(st.integers(1, 50), st.integers(1, 50))
def test_what_the_urgent_took_the_others_pay_back(urgent: int, usual: int) -> None:
    clock = JumpingClock()
    meter = Meter(RATE, clock=clock)
    for _ in range(urgent):
        meter.take(20_000, urgent=True)
    for _ in range(usual):
        meter.take(20_000, urgent=False)
    total = 20_000 * (urgent + usual)
    assert clock.monotonic() >= total / RATE - BURST_SECONDS - 1e-6


def test_destinations_that_share_a_budget_share_a_process() -> None:
    wan = Budget(name="wan", bytes_per_second=RATE)
    peers = [
        DicomDestination(name=f"p{number}", host="h", port=1, ae_title="A", budget=wan if number % 2 else None)
        for number in range(20)
    ]
    group = GroupDestination(name="group", how="failover", members=(peers[0], peers[1]))
    orders = Orders(destinations=(*peers, group))
    shares = [orders.share(number, 4) for number in range(4)]
    assert sum(map(len, shares)) == 21
    (home,) = (share for share in shares if group in share)
    assert {one for one in peers if one.budget} <= set(home)


def test_a_spool_without_a_budget_is_the_spool_itself() -> None:
    class AnySpool:
        meter = None

    spool, meters = AnySpool(), Meters()
    assert meters.spool(spool, None) is spool  # type: ignore[arg-type,comparison-overlap]
    wan = Budget(name="wan", bytes_per_second=RATE)
    one, other = meters.spool(spool, wan), meters.spool(spool, wan)  # type: ignore[arg-type]
    assert one.meter is other.meter is not None
    assert spool.meter is None
