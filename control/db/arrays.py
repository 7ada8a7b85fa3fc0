"""Rows as arrays, one for each column: how many rows travel to PostgreSQL in one statement.

The literals are built here, a whole column at a time: a driver that adapts value by value costs more than the insert.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import JSON, Column, Integer, SmallInteger, String, Table, TextualSelect, column, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from control.db.base import UtcDateTime

DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]

_BETWEEN = "\0"
"""Between the values of a column while they are quoted: PostgreSQL holds no text with it."""


def rows_of_arrays(table: Table, names: Sequence[str]) -> TextualSelect:
    """A SELECT of rows from one bound array for each of these columns."""
    kinds = [_kind(table.columns[name]) for name in names]
    values = ", ".join(f"CAST(r.{name} AS jsonb)" if kind == "jsonb" else f"r.{name}" for name, kind in zip(
        names, kinds, strict=True))  # fmt: skip
    arrays = ", ".join(
        f"CAST(:{name} AS {'text' if kind == 'jsonb' else kind}[])" for name, kind in zip(names, kinds, strict=True)
    )
    return text(
        f"SELECT {values} FROM unnest({arrays}) AS r({', '.join(names)})"  # noqa: S608 - names of our own columns
    ).columns(*(column(name) for name in names))


def array_of(kind: Column[Any], values: Sequence[Any]) -> str:
    """The values of one column as the text of an array."""
    match _kind(kind):
        case "bigint" | "smallint":
            return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
        case "timestamptz":
            return "{" + ",".join(["NULL" if value is None else f'"{value.isoformat()}"' for value in values]) + "}"
        case "jsonb":
            return _quoted(_documents(values))
        case _:
            return _quoted(values)


def _quoted(values: Sequence[str | None]) -> str:
    if None in values:
        return "{" + ",".join("NULL" if value is None else _quoted([value])[1:-1] for value in values) + "}"
    joined = _BETWEEN.join(cast("Sequence[str]", values))
    if joined.count(_BETWEEN) != len(values) - 1:
        raise ValueError("PostgreSQL holds no text with NUL")
    if "\\" in joined:
        joined = joined.replace("\\", "\\\\")
    if '"' in joined:
        joined = joined.replace('"', '\\"')
    return '{"' + joined.replace(_BETWEEN, '","') + '"}'


def _documents(values: Sequence[Any]) -> Sequence[str | None]:
    """As JSON; of one and the same object once."""
    written: dict[int, str] = {}
    for value in values:
        if id(value) not in written:
            written[id(value)] = _json(value)
    return [None if value is None else written[id(value)] for value in values]


_json: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


@lru_cache
def fit_in_arrays(table: Table, names: tuple[str, ...]) -> bool:
    """Whether each of these columns can travel so. Tables of other types have few rows."""
    return all(_kind(table.columns[name]) for name in names)


def _kind(of: Column[Any]) -> str:
    """The type of the array's elements; empty for a type that has no way here."""
    match of.type:
        case JSON():
            return "jsonb"
        case UtcDateTime():
            return "timestamptz"
        case SmallInteger():
            return "smallint"
        case Integer():
            return "bigint"
        case String():
            return "text"
        case _:
            return ""
