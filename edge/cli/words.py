"""Numbers and foreign text in words that are safe on a terminal (pure)."""

from __future__ import annotations


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
