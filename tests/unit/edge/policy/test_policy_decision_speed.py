"""How many decisions one core takes, with fifty routes; a short form of the bench's row, with its figures."""

from __future__ import annotations

from collections.abc import Sequence

from edge.model import TagSet
from edge.policy.document import Policy
from tests.bench.decisions import alike, hospital, rate, series, strangers
from tests.conftest import Figures


def best(policy: Policy, cases: Sequence[TagSet]) -> float:
    return max(rate(policy, cases) for _try in range(3))


def test_fifty_routes_are_decided_fast_enough_for_a_series_and_for_strangers(figures: Figures) -> None:
    repeating = best(hospital(), series(20_000))
    differing, look_alike = best(hospital(), strangers(1_000)), best(alike(), strangers(1_000))
    figures(
        f"decisions/s with 50 routes: {repeating:,.0f} repeating, {differing:,.0f} all different, "
        f"{look_alike:,.0f} all different and the routes alike"
    )
    assert repeating >= 50_000
    assert min(differing, look_alike) >= 2_500
