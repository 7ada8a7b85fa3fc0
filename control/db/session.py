"""Engines and units of work. The only place that commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from control.attempt import is_trial, note_commit
from control.errors import SettingsError

CLOSE_SECONDS = 5.0
WRITES = "skerry_writes"
"""Execution option of the engine whose transactions may write."""

SQLITE_PRAGMAS = (
    # Not WAL: SQLite before 3.51.3 can damage one that two connections write and checkpoint at once.
    "PRAGMA journal_mode=TRUNCATE",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=15000",
)


URL_HINT = (
    "Write postgresql://USER:PASSWORD@HOST:PORT/NAME into the file, or leave it out for SQLite in the data directory."
)


class ClosedAtOnce(sqlite3.Connection):
    """A connection that holds no lock once it is closed.

    SQLite keeps a closed connection, its transaction and its locks for as long as one of its statements exists. A
    statement whose caller was cancelled may exist until Python next collects garbage.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor that this connection remembers."""
        cursor = super().cursor(*args, **options)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """End every statement and the transaction, then close."""
        for cursor in list(self._cursors):
            cursor.close()
        if self.in_transaction:
            self.rollback()
        super().close()


class Database:
    """One database: `transaction()` to change it, `snapshot()` to read it.

    A unit of work never opens another one inside: on SQLite the inner writer would wait for the outer one
    for ever. Keep both short, and await nothing slow inside.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = async_sessionmaker(engine, expire_on_commit=False)
        self._writing = async_sessionmaker(engine.execution_options(**{WRITES: True}), expire_on_commit=False)
        # One writer at a time is all that SQLite can do: a fair queue here instead of its polling.
        self._writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        self._under_way, self._idle = 0, asyncio.Event()
        self._idle.set()
        self._connections: WeakSet[Any] = WeakSet()

        @event.listens_for(engine.sync_engine, "connect")
        def remember(connection: Any, _record: Any) -> None:
            self._connections.add(connection.driver_connection)

    @property
    def engine(self) -> AsyncEngine:
        """For migrations and health checks."""
        return self._engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A unit of work that writes: committed when the block ends, rolled back when it raises or is cancelled.

        In a trial (`control.attempt`) it is rolled back in any case.
        """
        async with self._writer or nullcontext(), self._unit(self._writing()) as session:
            yield session
            if is_trial():
                await _to_its_end(session.flush())  # what the database would refuse is refused in a trial too
            else:
                note_commit()
                await _to_its_end(session.commit())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """A unit of work that only reads. Whatever it changed is thrown away."""
        async with self._unit(self._reading()) as session:
            yield session

    async def close(self) -> None:
        """Close all connections: when the units under way have ended, and after some seconds in any case.

        A connection that came back to a pool that is gone, or that a cancelled caller left, would be closed by nobody.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), CLOSE_SECONDS)
        await self._engine.dispose()
        for connection in list(self._connections):
            with suppress(Exception):  # it is gone either way, and the others are to be closed, too
                await connection.close()

    @asynccontextmanager
    async def _unit(self, session: AsyncSession) -> AsyncIterator[AsyncSession]:
        """A session that has begun; when the block is left, its connection is back, whatever happened in between.

        A caller who goes away cancels at any moment. A BEGIN that is given up half-way would keep its lock on the
        whole of a SQLite database, on a connection that nobody rolls back.
        """
        self._under_way += 1
        self._idle.clear()
        try:
            await _to_its_end(session.connection())
            yield session
        finally:
            try:
                await _to_its_end(session.close())
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._idle.set()


async def _to_its_end(step: Coroutine[Any, Any, object]) -> None:
    """Wait for a step that must not stop half-way; a cancellation that came meanwhile is raised after it."""
    task = asyncio.ensure_future(step)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        task.result()
        return
    if not task.cancelled():
        task.exception()  # seen: the cancellation is what the caller is told of
    raise cancelled


def open_database(url: str) -> Database:
    """The database at a URL `sqlite:///path`, or `postgresql://user@host/name`. Connects when first used.

    Raises:
        SettingsError: the URL is of another kind. Its text is never repeated, because it may hold a password.
    """
    parsed = _read_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite_engine(parsed))
    return Database(
        create_async_engine(
            parsed,
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            hide_parameters=True,
            # A server ahead of UTC could not read back the last day that it can hold.
            connect_args={"options": "-c timezone=UTC"},
        )
    )


def _read_url(url: str) -> URL:
    try:
        parsed = make_url(url.strip())
    except ArgumentError:
        raise SettingsError("The database URL cannot be read.", hint=URL_HINT) from None
    match parsed.drivername.partition("+")[0]:
        case "sqlite":
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case _:
            raise SettingsError("The database URL names a database that is not known.", hint=URL_HINT)


def _sqlite_engine(url: URL) -> AsyncEngine:
    # Parameters are hidden because errors would repeat patients' data.
    engine = create_async_engine(url, hide_parameters=True, connect_args={"factory": ClosedAtOnce})

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that turns to writing fails at once when another one has written.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
