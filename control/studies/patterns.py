"""A value with wildcards as a SQL condition that means the same on both databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, and_
from sqlalchemy.orm import InstrumentedAttribute

from control.filters.terms import Wild

Column = ColumnElement[str] | InstrumentedAttribute[str]

LAST_CHARACTER = "\U0010ffff"
"""Sorts behind everything that can follow a prefix, byte by byte in UTF-8."""

LIKE_WILD = {Wild.MANY: "%", Wild.ONE: "_"}
GLOB_WILD = {Wild.MANY: "*", Wild.ONE: "?"}


def fits(column: Column, value: Sequence[str | Wild], dialect: str) -> ColumnElement[bool]:
    """That a column is this text, with capitals and without tricks."""
    match list(value):
        case []:
            return column == ""
        case [str() as text]:
            return column == text
        case [str() as text, Wild.MANY]:
            return begins_with(column, text)
        case [str() as text, *_]:
            return and_(begins_with(column, text), _pattern(column, value, dialect))
        case _:
            return _pattern(column, value, dialect)


def begins_with(column: Column, prefix: str) -> ColumnElement[bool]:
    """A range of an index whose order is that of the bytes; never a pattern that a value could be part of."""
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def _pattern(column: Column, value: Sequence[str | Wild], dialect: str) -> ColumnElement[bool]:
    if dialect == "sqlite":  # its LIKE takes A for a
        return column.op("GLOB", is_comparison=True)(_written(value, GLOB_WILD, _for_glob))
    return column.like(_written(value, LIKE_WILD, _for_like), escape="\\")


def _written(value: Sequence[str | Wild], wild: dict[Wild, str], text: Callable[[str], str]) -> str:
    return "".join(wild[part] if isinstance(part, Wild) else text(part) for part in value)


def _for_like(text: str) -> str:
    return "".join(f"\\{one}" if one in "\\%_" else one for one in text)


def _for_glob(text: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in text)
