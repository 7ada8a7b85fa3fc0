"""Terms as text that reads back as the same terms."""

from __future__ import annotations

from datetime import date

from control.filters.terms import And, Compare, Days, Not, Or, Pattern, Term, Wild

ESCAPED = frozenset('\\"*?')


def text_of(term: Term) -> str:
    """The filter as people write it."""
    match term:
        case Compare(field, sense, value):
            return f"{field} {sense} {quoted(value)}"
        case Days():
            return _days(term)
        case Not(inner):
            return f"NOT {_inside(inner)}"
        case And(terms):
            return " AND ".join(_inside(one) for one in terms)
        case Or(terms):
            return " OR ".join(_inside(one) for one in terms)


def quoted(value: Pattern) -> str:
    """A value in quotes; what would be a wildcard and is none has a backslash before it."""
    return '"' + "".join(one.value if isinstance(one, Wild) else _escaped(one) for one in value) + '"'


def _escaped(text: str) -> str:
    return "".join(f"\\{one}" if one in ESCAPED else one for one in text)


def _inside(term: Term) -> str:
    return f"({text_of(term)})" if isinstance(term, And | Or) else text_of(term)


def _days(term: Days) -> str:
    match term.first, term.last:
        case date() as first, None:
            return f"{term.field} >= {first.isoformat()}"
        case None, date() as last:
            return f"{term.field} <= {last.isoformat()}"
        case date() as first, date() as last:
            return f"{term.field} = {first.isoformat()}" + ("" if first == last else f"..{last.isoformat()}")
        case _:
            raise ValueError("days without a bound ask for nothing")
