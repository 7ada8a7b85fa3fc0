"""INSERT … ON CONFLICT, written once for both databases.

Rows go in the order of the table's primary key: two transactions that touch the same rows then wait for each other
instead of deadlocking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

from control.db.arrays import DIALECT, array_of, fit_in_arrays, rows_of_arrays

Row = Mapping[str, Any]
Assignments = Mapping[str, ColumnElement[Any]]
Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
Merge = Callable[[Columns, Columns], Assignments]
"""Of (the row that stands, the row that comes): the columns to set where both have the same key."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Many rows of one shape: cheaper than a mapping for each."""

    names: tuple[str, ...]
    """Of the columns."""
    values: Sequence[tuple[Any, ...]]
    """In the order of the names."""


async def insert_missing(session: AsyncSession, table: Table, rows: Rows | Iterable[Row]) -> None:
    """Add the rows whose key is not there yet; leave the others as they are. Every key may come once only."""
    await _insert(session, table, rows, None)


async def upsert(session: AsyncSession, table: Table, rows: Rows | Iterable[Row], merge: Merge) -> None:
    """Add the rows whose key is not there yet; merge the others. Every key may come once only."""
    await _insert(session, table, rows, merge)


async def _insert(session: AsyncSession, table: Table, given: Rows | Iterable[Row], merge: Merge | None) -> None:
    rows = given if isinstance(given, Rows) else _as_rows(given)
    if not rows.values:
        return
    key = itemgetter(*(rows.names.index(column.name) for column in table.primary_key))
    ordered = sorted(rows.values, key=key)
    connection = await session.connection()
    postgres = connection.dialect.name == "postgresql"
    if postgres and fit_in_arrays(table, rows.names):
        # One statement, each column of all rows as one array: a statement for each row would cost ten times.
        statement, constants = _array_statement(table, rows.names, merge)
        columns = zip(rows.names, zip(*ordered, strict=True), strict=True)
        arrays = {name: array_of(table.columns[name], values) for name, values in columns}
        await connection.exec_driver_sql(statement, constants | arrays)
    else:
        documents = [dict(zip(rows.names, one, strict=True)) for one in ordered]
        insert = postgresql.insert(table) if postgres else sqlite.insert(table)
        await connection.execute(_on_conflict(insert, table, merge), documents)


def _as_rows(given: Iterable[Row]) -> Rows:
    rows = list(given)
    names = tuple(rows[0]) if rows else ()
    return Rows(names, [tuple([row[name] for name in names]) for row in rows])


@lru_cache(maxsize=64)
def _array_statement(table: Table, names: tuple[str, ...], merge: Merge | None) -> tuple[str, dict[str, Any]]:
    """The SQL, and the constants in it."""
    insert = postgresql.insert(table).from_select(list(names), rows_of_arrays(table, names), include_defaults=False)
    compiled = _on_conflict(insert, table, merge).compile(dialect=DIALECT)
    return str(compiled), {name: value for name, value in compiled.params.items() if name not in names}


def _on_conflict(insert: Any, table: Table, merge: Merge | None) -> Any:
    key = [column.name for column in table.primary_key]
    if merge is None:
        return insert.on_conflict_do_nothing(index_elements=key)
    return insert.on_conflict_do_update(index_elements=key, set_=dict(merge(table.c, insert.excluded)))
