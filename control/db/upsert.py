"""INSERT … ON CONFLICT, written once for both databases.

Rows go in the order of the table's primary key: two transactions that touch the same rows then wait for each other
instead of deadlocking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

Row = Mapping[str, Any]
Assignments = Mapping[str, ColumnElement[Any]]
Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]
Merge = Callable[[Columns, Columns], Assignments]
"""Of (the row that stands, the row that comes): the columns to set where both have the same key."""


async def insert_missing(session: AsyncSession, table: Table, rows: Iterable[Row]) -> None:
    """Add the rows whose key is not there yet; leave the others as they are."""
    await _insert(session, table, rows, None)


async def upsert(session: AsyncSession, table: Table, rows: Iterable[Row], merge: Merge) -> None:
    """Add the rows whose key is not there yet; merge the others. Every key may come once only."""
    await _insert(session, table, rows, merge)


async def _insert(session: AsyncSession, table: Table, rows: Iterable[Row], merge: Merge | None) -> None:
    key = [column.name for column in table.primary_key]
    ordered: Sequence[Row] = sorted(rows, key=lambda row: tuple(row[name] for name in key))
    if not ordered:
        return
    connection = await session.connection()
    statement: postgresql.Insert | sqlite.Insert
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    if merge is None:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        assignments = merge(table.c, statement.excluded)
        statement = statement.on_conflict_do_update(index_elements=key, set_=dict(assignments))
    await connection.execute(statement, ordered)
