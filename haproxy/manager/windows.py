"""Hours of maintenance: pure, so that a change of daylight saving can be tried at any desk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mesh.pools import MaintenanceModel

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def open_since(windows: Iterable[MaintenanceModel], node: str, now: datetime) -> int | None:
    """When the hours began in which this node is not to work now, in seconds since 1970; None outside of them.

    Hours that end before they begin go over midnight, and belong to the day on which they begin.
    """
    starts = [start for window in windows if window.node == node and (start := _open(window, now)) is not None]
    return min(starts, default=None)


def _open(window: MaintenanceModel, now: datetime) -> int | None:
    try:
        zone = ZoneInfo(window.zone)
    except (OSError, ValueError, KeyError):
        return None  # the check of the document names a zone that is none
    today = now.astimezone(zone).date()
    begin, end = time.fromisoformat(window.from_), time.fromisoformat(window.until)
    for day in (today, today - timedelta(days=1)):
        if window.days is not None and _DAYS[day.weekday()] not in window.days:
            continue
        starts = datetime.combine(day, begin, zone).astimezone(UTC)
        ends = datetime.combine(day if end > begin else day + timedelta(days=1), end, zone).astimezone(UTC)
        if starts <= now < ends:
            return int(starts.timestamp())
    return None
