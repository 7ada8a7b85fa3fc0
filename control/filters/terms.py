"""What a filter asks, as values. `printer.text_of` writes them, `parser.read_filter` reads them back unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum, StrEnum


class Wild(Enum):
    """A part of a pattern that stands for other text."""

    MANY = "*"
    """Any characters, also none."""
    ONE = "?"
    """Exactly one character."""


class Sense(StrEnum):
    """How a value is compared."""

    EQUAL = "="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


Pattern = tuple[str | Wild, ...]
"""Text with wildcards in it; `()` is the empty text. No two texts stand side by side, and none of them is empty."""


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against a text."""

    field: str
    sense: Sense
    value: Pattern


@dataclass(frozen=True, slots=True)
class Days:
    """A field that is a day, from one day to another, both included. None: no bound on that side."""

    field: str
    first: date | None
    last: date | None


@dataclass(frozen=True, slots=True)
class Not:
    """What does not meet the term."""

    term: Term


@dataclass(frozen=True, slots=True)
class And:
    """What meets every one of two or more terms."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What meets at least one of two or more terms."""

    terms: tuple[Term, ...]


Term = Compare | Days | Not | And | Or


def equal(field: str, text: str) -> Compare:
    """That a field is exactly this text."""
    return Compare(field, Sense.EQUAL, (text,) if text else ())


def begins(field: str, text: str) -> Compare:
    """That a field begins with this text."""
    return Compare(field, Sense.EQUAL, (text, Wild.MANY) if text else (Wild.MANY,))


def every(terms: tuple[Term, ...]) -> Term | None:
    """All of these; None when there are none."""
    if len(terms) < 2:
        return terms[0] if terms else None
    return And(terms)
