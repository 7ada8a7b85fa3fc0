"""A filter's text as tokens, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from control.errors import InvalidFilter
from control.filters.terms import Pattern, Wild

MAX_LENGTH = 4000
"""Characters of one filter."""

MAX_WILDCARDS = 8
"""Of one value: more make a search slow and nobody needs them."""

OPERATORS = ("!=", "<=", ">=", "=", "<", ">")
QUOTES = "\"'"
CURLY = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_ENDS_WORD = frozenset(" \t\r\n()=<>!,") | frozenset('"') | frozenset(CURLY)
_WILD = {one.value: one for one in Wild}


class TokenKind(StrEnum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted"
    OPERATOR = "operator"
    OPEN = "("
    CLOSE = ")"
    COMMA = ","
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token."""

    kind: TokenKind
    at: int
    """Of its first character, from 0."""
    text: str = ""
    """As it was written; of a quoted value without the quotes."""
    value: Pattern = ()
    """What it stands for where a value is expected."""

    def is_word(self, word: str) -> bool:
        """Whether it is this word outside quotes."""
        return self.kind is TokenKind.WORD and self.text.upper() == word


def tokens_of(text: str) -> Sequence[Token]:
    """All tokens, and an END.

    Raises:
        InvalidFilter: with the place.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidFilter(f"A filter has at most {MAX_LENGTH} characters.", at=MAX_LENGTH)
    for at, one in enumerate(text):
        if one == "\0" or "\ud800" <= one <= "\udfff":
            raise InvalidFilter("This character cannot be searched for.", at=at)
    return [*_tokens(text), Token(kind=TokenKind.END, at=len(text))]


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _next(text, at)
        yield token


def _next(text: str, at: int) -> tuple[Token, int]:
    one = text[at]
    if one in "(),":
        return Token(kind=TokenKind(one), at=at, text=one), at + 1
    operator = next((it for it in OPERATORS if text.startswith(it, at)), None)
    if operator is not None:
        return Token(kind=TokenKind.OPERATOR, at=at, text=operator), at + len(operator)
    if one == "!":
        raise InvalidFilter("A lone ! means nothing.", at=at, hint="Write != or NOT.")
    if one in CURLY:
        raise InvalidFilter("This quotation mark is not a straight one.", at=at, hint='Write "value".')
    return _quoted(text, at) if one in QUOTES else _word(text, at)


def _word(text: str, at: int) -> tuple[Token, int]:
    end = at
    while end < len(text) and text[end] not in _ENDS_WORD and not text[end].isspace():
        end += 2 if text[end] == "\\" else 1
    end = min(end, len(text))
    return Token(kind=TokenKind.WORD, at=at, text=text[at:end], value=_pattern(text, at, end)), end


def _quoted(text: str, at: int) -> tuple[Token, int]:
    end = at + 1
    while end < len(text) and text[end] != text[at]:
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise InvalidFilter("This quotation is never closed.", at=at, hint="Close it with the same mark.")
    token = Token(kind=TokenKind.QUOTED, at=at, text=text[at + 1 : end], value=_pattern(text, at + 1, end))
    return token, end + 1


def _pattern(text: str, at: int, end: int) -> Pattern:
    """The text between two places; a backslash takes the meaning of the character behind it away."""
    parts: list[str | Wild] = []
    place = at
    while place < end:
        wild = _WILD.get(text[place])
        if wild is None:
            if text[place] == "\\":
                place += 1
                if place >= end:
                    raise InvalidFilter("A backslash stands before nothing.", at=place - 1, hint=r"Write \\ for one.")
            _add_text(parts, text[place])
        elif not (wild is Wild.MANY and parts and parts[-1] is Wild.MANY):
            parts.append(wild)
        place += 1
    if sum(isinstance(part, Wild) for part in parts) > MAX_WILDCARDS:
        raise InvalidFilter(f"A value has at most {MAX_WILDCARDS} wildcards.", at=at)
    return tuple(parts)


def _add_text(parts: list[str | Wild], text: str) -> None:
    if parts and isinstance(last := parts[-1], str):
        parts[-1] = last + text
    else:
        parts.append(text)
