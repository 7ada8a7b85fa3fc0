"""Numbers and foreign text in words that are safe on a terminal (pure)."""

from __future__ import annotations

import re
from datetime import timedelta

from edge.errors import SettingsError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def counted(number: int, singular: str, plural: str = "") -> str:
    """`1 try`, `2 tries`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def age(seconds: int) -> str:
    """A duration in its two largest units."""
    for size, unit, smaller, small_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // smaller} {small_unit}"
    return f"{seconds} s"


def plain(text: object) -> str:
    """Text from outside with everything replaced that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def duration(text: str, *, option: str) -> timedelta:
    """A number and s, m, h or d, as an option takes it; a hundred years at most.

    Raises:
        SettingsError: it is written in another way.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise SettingsError(f"{option} {text} is not a duration", hint="Write a number and s, m, h or d, such as 24h.")
    return min(timedelta(**{_UNITS[match[2]]: int(match[1])}), timedelta(days=36_500))
