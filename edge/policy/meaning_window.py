"""What the hours of a destination mean, and what is wrong with them."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from edge.policy.schema_window import WindowModel
from edge.policy.wording import nearest
from edge.window import DAYS, Window


def window_of(model: WindowModel | None) -> Window | None:
    """The hours; None when there are none."""
    if model is None:
        return None
    return Window(
        start=model.from_,
        end=model.until,
        zone=model.zone,
        days=tuple(day for day in DAYS if model.days is None or day in model.days),
        stat_passes=model.stat_passes,
    )


def check_window(model: WindowModel | None, error: Callable[[str, str], None]) -> None:
    """Say whether this machine knows the zone."""
    if model is not None:
        check_zone(model.zone, error)


def check_zone(zone: str, error: Callable[[str, str], None]) -> None:
    """Say whether this machine knows a zone."""
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        meant = nearest(zone, sorted(zoneinfo.available_timezones()))
        hint = f"Did you mean `{meant}`?" if meant else "Write one such as Europe/Berlin or UTC."
        error(f"there is no time zone `{zone}`", hint)
