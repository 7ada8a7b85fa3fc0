"""Hours of a destination: local times of a zone, over midnight, on some days, and through changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.window import DAYS, Window, is_open, opens_at, said

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
TIMES = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
WINDOWS = st.builds(
    Window,
    start=TIMES,
    end=TIMES,
    zone=st.sampled_from(ZONES),
    days=st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(tuple),
)
MOMENTS = st.integers(1_767_225_600, 1_798_761_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 2026
NIGHT = Window(start="18:00", end="06:00", zone="Europe/Berlin")


def _plainly(window: Window, now: datetime) -> bool:
    """Hand and calendar: right wherever no clock is changed."""
    here = now.astimezone(ZoneInfo(window.zone))
    clock = f"{here:%H:%M}"
    today = DAYS[here.weekday()] in window.days
    yesterday = DAYS[here.weekday() - 1] in window.days
    if window.start < window.end:
        return today and window.start <= clock < window.end
    return (today and clock >= window.start) or (yesterday and clock < window.end)


@given(window=WINDOWS, now=MOMENTS)
def test_it_is_open_when_the_clock_on_the_wall_says_so(window: Window, now: datetime) -> None:
    around = [(now + timedelta(days=days)).astimezone(ZoneInfo(window.zone)).utcoffset() for days in (-2, 0, 2)]
    if len(set(around)) == 1:
        assert is_open(window, now) == _plainly(window, now)


@given(window=WINDOWS, now=MOMENTS)
def test_it_opens_at_the_moment_that_is_told_and_not_before(window: Window, now: datetime) -> None:
    opening = opens_at(window, now)
    assert now < opening <= now + timedelta(days=9)
    assert is_open(window, opening) or _gap(window, opening)
    if not is_open(window, now):
        minutes = int((opening - now).total_seconds() // 60)
        between = (now + timedelta(minutes=minute) for minute in range(0, minutes, 15))
        assert not any(is_open(window, moment) for moment in between)


def _gap(window: Window, moment: datetime) -> bool:
    """Whether a change of the clock swallowed this opening: it would begin and end in the hour that is left out."""
    zone = ZoneInfo(window.zone)
    return (moment - timedelta(hours=2)).astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset()


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-03-29T00:59Z", True),  # 01:59 in Berlin, a minute before the clock goes forward
        ("2026-03-29T03:59Z", True),  # 05:59 there: the night has an hour less
        ("2026-03-29T04:00Z", False),
        ("2026-10-25T04:59Z", True),  # 05:59 after the night with an hour more
        ("2026-10-25T05:00Z", False),
        ("2026-07-01T15:59Z", False),
        ("2026-07-01T16:00Z", True),
    ],
)
def test_a_night_ends_at_six_on_the_wall_whatever_the_clocks_did(moment: str, open_: bool) -> None:
    assert is_open(NIGHT, datetime.fromisoformat(moment)) is open_


def test_people_are_told_when_it_opens() -> None:
    weekend = Window(start="20:00", end="20:00", zone="Europe/Berlin", days=("sat",))
    assert said(NIGHT, datetime(2026, 7, 1, 10, tzinfo=UTC)) == "closed, opens at 18:00 (Europe/Berlin)"
    assert said(weekend, datetime(2026, 7, 1, 10, tzinfo=UTC)) == "closed, opens at sat 20:00 (Europe/Berlin)"
