"""Each gate stops a roll-out at its canary: what nodes count, and what they do not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.services import Core
from tests.conftest import Figures
from tests.control_fixtures import FakeClock
from tests.rollout_fleet import Fleet, goes_back_from_the_canary


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One engine is enough here: the other tests of roll-outs run on both."""
    return f"sqlite:///{tmp_path / 'gates.db'}"


@pytest.mark.parametrize(
    ("habit", "says"),
    [
        ("quarantining", "has given up 30 deliveries or images"),
        ("refusing", "has refused 40 of"),
        ("silent", "has not been heard of"),
        ("stuck", "has not taken it within 100 seconds"),
    ],
)
async def test_what_nodes_do_not_bear_stops_at_the_canary(
    core: Core, clock: FakeClock, habit: str, says: str, figures: Figures
) -> None:
    await goes_back_from_the_canary(Fleet(core, clock), habit, says, figures)
