"""The grammar: recursive descent, bounded in length, depth and number of terms; every refusal has a place.

filter  := all ( OR all )*
all     := one ( AND one )*
one     := NOT one | "(" filter ")" | field operator value | field IN "(" value ( "," value )* ")"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from control.errors import InvalidFilter
from control.filters.comparisons import comparison
from control.filters.fields import Field, find_field, nearest_fields
from control.filters.terms import And, Not, Or, Term
from control.filters.tokens import Token, TokenKind, tokens_of

MAX_DEPTH = 24
"""Parentheses and NOTs inside each other."""

MAX_TERMS = 64
"""Comparisons of one filter."""

_VALUES = frozenset({TokenKind.WORD, TokenKind.QUOTED})


def read_filter(text: str) -> Term:
    """The terms of a filter.

    Raises:
        InvalidFilter: with the place, and with what may have been meant.
    """
    return _Parser(tokens_of(text)).filter()


class _Parser:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._terms = 0

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._now
        if token.kind is not TokenKind.END:
            self._place += 1
        return token

    def filter(self) -> Term:
        """The whole text."""
        term = self._any(0)
        if self._now.kind is TokenKind.CLOSE:
            raise InvalidFilter("This parenthesis was never opened.", at=self._now.at)
        if self._now.kind is not TokenKind.END:
            raise InvalidFilter(
                "Here AND or OR is missing.", at=self._now.at, hint='Put values with spaces in quotes: "DOE JANE".'
            )
        return term

    def _any(self, depth: int) -> Term:
        return self._chain("OR", lambda: self._chain("AND", lambda: self._one(depth), And), Or)

    def _chain(self, word: str, part: Callable[[], Term], joined: type[And | Or]) -> Term:
        terms = [part()]
        while self._now.is_word(word):
            self._take()
            terms.append(part())
        return terms[0] if len(terms) == 1 else joined(tuple(terms))

    def _one(self, depth: int) -> Term:
        if depth > MAX_DEPTH:
            raise InvalidFilter(f"At most {MAX_DEPTH} parentheses and NOTs stand inside each other.", at=self._now.at)
        if self._now.is_word("NOT"):
            self._take()
            return Not(self._one(depth + 1))
        if self._now.kind is not TokenKind.OPEN:
            return self._comparison()
        opened = self._take()
        term = self._any(depth + 1)
        if self._take().kind is not TokenKind.CLOSE:
            raise InvalidFilter("This parenthesis is never closed.", at=opened.at)
        return term

    def _comparison(self) -> Term:
        field = self._field()
        operator = self._take()
        if operator.is_word("IN"):
            return self._listed(field)
        if operator.kind is not TokenKind.OPERATOR:
            raise InvalidFilter("Behind a field stands =, !=, <, <=, >, >= or IN.", at=operator.at)
        return self._compared(field, operator, self._value())

    def _listed(self, field: Field) -> Term:
        equal = Token(kind=TokenKind.OPERATOR, at=self._now.at, text="=")
        if self._take().kind is not TokenKind.OPEN:
            raise InvalidFilter("Behind IN stands a list in parentheses.", at=equal.at, hint="Site IN (north, south)")
        terms = [self._compared(field, equal, self._value())]
        while self._now.kind is TokenKind.COMMA:
            self._take()
            terms.append(self._compared(field, equal, self._value()))
        if (closing := self._take()).kind is not TokenKind.CLOSE:
            raise InvalidFilter("The list is not closed.", at=closing.at, hint="Values are separated by commas.")
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _compared(self, field: Field, operator: Token, value: Token) -> Term:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise InvalidFilter(f"A filter has at most {MAX_TERMS} comparisons.", at=value.at)
        return comparison(field, operator, value)

    def _value(self) -> Token:
        token = self._take()
        if token.kind not in _VALUES:
            raise InvalidFilter("Here a value is missing.", at=token.at, hint='Write it as word or "in quotes".')
        return token

    def _field(self) -> Field:
        token = self._take()
        if token.kind is not TokenKind.WORD:
            raise InvalidFilter("Here a field is expected.", at=token.at, hint='Such as PatientID = "123".')
        field = find_field(token.text)
        if field is not None:
            return field
        if self._now.kind is TokenKind.OPERATOR or self._now.is_word("IN"):
            raise InvalidFilter("There is no such field.", at=token.at, suggestions=nearest_fields(token.text))
        raise InvalidFilter(
            "A word alone is no comparison.",
            at=token.at,
            hint='Write FIELD = VALUE; Text = "word" searches names, ids, descriptions.',
            suggestions=nearest_fields(token.text),
        )
