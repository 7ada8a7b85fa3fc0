"""The hours in which a destination may be sent to (pure): local times of a zone, over midnight and through DST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From one local time to another, on these days; one that ends before it begins ends on the day after."""

    start: str
    """HH:MM, inclusive."""
    end: str
    """HH:MM, exclusive; the same as `start` means a whole day."""
    zone: str
    """A name of the IANA time zone database."""
    days: tuple[str, ...] = DAYS
    """The days on which it opens."""
    stat_passes: bool = True
    """Whether what is most urgent goes also while it is closed."""


def is_open(window: Window, now: datetime) -> bool:
    """Whether anything may be sent now. `now` is aware."""
    return any(start <= now < end for start, end in _openings(window, now))


def opens_at(window: Window, now: datetime) -> datetime:
    """When it opens next after now, in UTC; within eight days there is always one."""
    return next(start for start, _end in _openings(window, now) if start > now)


def said(window: Window, now: datetime) -> str:
    """In words for people: `closed, opens at 18:00 (Europe/Oslo)`, with the day when it is not today."""
    opening = opens_at(window, now).astimezone(ZoneInfo(window.zone))
    today = now.astimezone(opening.tzinfo).date()
    day = "" if opening.date() == today else f"{DAYS[opening.weekday()]} "
    return f"closed, opens at {day}{opening:%H:%M} ({window.zone})"


def _openings(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The openings around now, in order. A time that a DST change leaves out is the one an hour later."""
    zone, overnight = ZoneInfo(window.zone), window.end <= window.start
    here = now.astimezone(zone).date()
    for offset in range(-2, 10):
        day = here + timedelta(days=offset)
        if DAYS[day.weekday()] in window.days:
            last = day + timedelta(days=1) if overnight else day
            yield _moment(day, window.start, zone), _moment(last, window.end, zone)


def _moment(day: date, text: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)
