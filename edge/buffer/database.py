"""Connections to the buffer database: one writer, many readers, nothing but apsw.

The stdlib's SQLite has the WAL-reset corruption bug (fixed in 3.51.3), so it must never open this file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, cast

import apsw

from edge.buffer.named_sql import load_queries
from edge.errors import SettingsError

APPLICATION_ID = 0x534B5259  # "SKRY"
SCHEMA_VERSION = 5
BUSY_TIMEOUT_MS = 5_000
_QUERIES = (
    load_queries("queries.sql")
    | load_queries("deliveries.sql")
    | load_queries("hand.sql")
    | load_queries("returns.sql")
    | load_queries("eviction.sql")
    | load_queries("gathering.sql")
    | load_queries("expected.sql")
    | load_queries("proof.sql")
    | load_queries("outbox.sql")
    | load_queries("asked.sql")
)

Row = dict[str, Any]


def open_writer(path: Path) -> apsw.Connection:
    """The one connection that writes: WAL, FULL, and checkpoints only when the WAL guard says so.

    Raises:
        SettingsError: the file is damaged, another program's, or of a newer Skerry.
    """
    # Made by us before SQLite would make it readable for everybody; its WAL takes the mode over.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with _naming_damage(path):
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("foreign_keys", True)
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("journal_size_limit", 64 << 20)
    _migrate(connection, path)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """A connection that cannot change anything."""
    with _naming_damage(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("schema_version")
    connection.pragma("query_only", True)
    return connection


def check_usable(path: Path) -> None:
    """Look, before a node begins, whether its processes will be able to use this database; none yet is fine.

    Raises:
        SettingsError: the file is damaged, another program's, or of another release.
    """
    if not path.exists():
        return
    connection = open_reader(path)
    try:
        _check_release(connection, path)
    finally:
        connection.close()


def run(connection: apsw.Connection, query: str, **values: object) -> list[Row]:
    """Run one named query to its end and return its rows by column name.

    apsw executes lazily: what is not fetched is not done, so everything is fetched here.
    """
    cursor = connection.cursor()
    cursor.row_trace = _by_name
    return cast("list[Row]", cursor.execute(_QUERIES[query], values).fetchall())


def _by_name(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Row:
    return dict(zip((column[0] for column in cursor.get_description()), row, strict=True))


def first(connection: apsw.Connection, query: str, **values: object) -> Mapping[str, Any] | None:
    """The first row, or None."""
    rows = run(connection, query, **values)
    return rows[0] if rows else None


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise SettingsError(
            f"{path} is damaged: {error}",
            hint="Images are safe in the spool. Run `skerry-edge rebuild` to make the index anew.",
        ) from error


def _check_release(connection: apsw.Connection, path: Path) -> bool:
    """Whether it is of this release; else it is new."""
    version = connection.pragma("user_version")
    application = connection.pragma("application_id")
    if version == SCHEMA_VERSION and application == APPLICATION_ID:
        return True
    if version not in (0, SCHEMA_VERSION) or application not in (0, APPLICATION_ID):
        raise SettingsError(
            f"{path.name} is not a buffer database of this release (application {application:#x}, schema {version})",
            hint="Run the release that wrote it until its queue is empty, or `skerry-edge rebuild` to index the spool.",
        )
    return False


def _migrate(connection: apsw.Connection, path: Path) -> None:
    if _check_release(connection, path):
        return
    schema = resources.files("edge.buffer").joinpath("schema.sql").read_text(encoding="utf-8")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.pragma("user_version") == 0:
            for _ in connection.execute(schema):
                pass
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
