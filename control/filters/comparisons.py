"""What one comparison means, by the kind of its field."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from control.errors import InvalidFilter
from control.filters.fields import STATES, Field, Kind, nearest_states
from control.filters.terms import Compare, Days, Not, Sense, Term, Wild
from control.filters.tokens import Token

RANGE = ".."
_DAY = re.compile(r"(?P<year>\d{4})(-?(?P<month>\d\d)(-?(?P<day>\d\d))?)?", re.ASCII)
_DAY_HINT = "Write 2026-01-31, 2026-01, 2026, or a range 2026-01-01..2026-01-31."


def comparison(field: Field, operator: Token, value: Token) -> Term:
    """The term of `field operator value`.

    Raises:
        InvalidFilter
    """
    if operator.text == "!=":
        return Not(_compared(field, Sense.EQUAL, operator, value))
    return _compared(field, Sense(operator.text), operator, value)


def _compared(field: Field, sense: Sense, operator: Token, value: Token) -> Term:
    match field.kind:
        case Kind.DAY:
            return _days(field, sense, value)
        case Kind.TEXT if sense is not Sense.EQUAL:
            if any(isinstance(part, Wild) for part in value.value):
                raise InvalidFilter(
                    "A wildcard has no order.", at=value.at, hint=r"Use = with it, or write \* for a star."
                )
        case _ if sense is not Sense.EQUAL:
            raise InvalidFilter(f"{field.name} is compared with = and != only.", at=operator.at)
        case Kind.STATE:
            return _state(field, value)
        case _:
            pass
    return Compare(field.name, sense, value.value)


def _state(field: Field, value: Token) -> Term:
    word = "".join(part for part in value.value if isinstance(part, str)).casefold()
    if word not in STATES or len(value.value) != 1:
        raise InvalidFilter(f"A state is one of {', '.join(STATES)}.", at=value.at, suggestions=nearest_states(word))
    return Compare(field.name, Sense.EQUAL, (word,))


def _days(field: Field, sense: Sense, value: Token) -> Term:
    if sense is Sense.EQUAL and not value.value:
        return Compare(field.name, sense, ())
    if RANGE in value.text:
        if sense is not Sense.EQUAL:
            raise InvalidFilter("A range of days stands behind = or !=.", at=value.at, hint=_DAY_HINT)
        return _range(field, value)
    first, last = _span(value.text, value.at)
    match sense:
        case Sense.EQUAL:
            return Days(field.name, first, last)
        case Sense.LESS:
            return Days(field.name, None, _moved(first, -1, value))
        case Sense.AT_MOST:
            return Days(field.name, None, last)
        case Sense.MORE:
            return Days(field.name, _moved(last, 1, value), None)
        case Sense.AT_LEAST:
            return Days(field.name, first, None)


def _range(field: Field, value: Token) -> Days:
    low, _, high = value.text.partition(RANGE)
    first = _span(low, value.at)[0] if low else None
    last = _span(high, value.at)[1] if high else None
    if first is None and last is None:
        raise InvalidFilter("A range has at least one end.", at=value.at, hint=_DAY_HINT)
    if first is not None and last is not None and last < first:
        raise InvalidFilter("This range ends before it begins.", at=value.at)
    return Days(field.name, first, last)


def _span(text: str, at: int) -> tuple[date, date]:
    """The first and the last day of a day, a month or a year."""
    found = _DAY.fullmatch(text)
    if found is None:
        raise InvalidFilter("This is not a day.", at=at, hint=_DAY_HINT)
    year, month, day = int(found["year"]), found["month"], found["day"]
    try:
        if day is not None:
            return (one := date(year, int(month), int(day))), one
        if month is not None:
            return date(year, int(month), 1), date(year, int(month), calendar.monthrange(year, int(month))[1])
        return date(year, 1, 1), date(year, 12, 31)
    except (ValueError, calendar.IllegalMonthError):
        raise InvalidFilter("There is no such day in the calendar.", at=at, hint=_DAY_HINT) from None


def _moved(day: date, by: int, value: Token) -> date:
    try:
        return day + timedelta(days=by)
    except OverflowError:
        raise InvalidFilter("Nothing is beyond this day.", at=value.at) from None
