"""The schema is what the models say, units of work are whole, and times come back as they were."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import random
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, QueuePool, text

import control
from control.db.base import Base
from control.db.session import Database, open_database
from control.db.upgrade import is_current, upgrade
from control.errors import SettingsError
from control.sites.models import Site

MOMENT = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)


def import_all_models() -> None:
    for module in pkgutil.walk_packages(control.__path__, "control."):
        if module.name.endswith(".models"):
            importlib.import_module(module.name)


async def test_the_migrations_make_exactly_what_the_models_say(database: Database) -> None:
    import_all_models()

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_an_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    await upgrade(database)
    assert await is_current(database)


async def test_many_replicas_that_start_at_once_upgrade_one_after_the_other(database_url: str) -> None:
    replicas = [open_database(database_url) for _ in range(4)]
    await asyncio.gather(*(upgrade(one) for one in replicas))
    assert all([await is_current(one) for one in replicas])
    for one in replicas:
        await one.close()


async def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="schema does not fit"):
        await upgrade(database)
    assert not await is_current(database)


async def test_a_moment_comes_back_in_utc_to_the_microsecond(database: Database) -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))
    async with database.transaction() as tx:
        tx.add(Site(name="north", created_at=elsewhere))
    async with database.snapshot() as session:
        site = await session.get_one(Site, 1)
    assert site.created_at == MOMENT
    assert site.created_at.tzinfo is UTC


async def test_a_naive_moment_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="time zone"):
        async with database.transaction() as tx:
            tx.add(Site(name="north", created_at=MOMENT.replace(tzinfo=None)))


async def test_what_raises_leaves_nothing_behind(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            tx.add(Site(name="north", created_at=MOMENT))
            await tx.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with database.snapshot() as session:
        assert await session.get(Site, 1) is None


async def test_a_snapshot_commits_nothing(database: Database) -> None:
    async with database.snapshot() as session:
        session.add(Site(name="north", created_at=MOMENT))
        await session.flush()
    async with database.snapshot() as session:
        assert await session.get(Site, 1) is None


async def test_writers_and_readers_of_two_processes_do_not_fail_each_other(
    database: Database, database_url: str
) -> None:
    other = open_database(database_url)

    async def write(where: Database, name: str) -> None:
        for number in range(10):
            async with where.transaction() as tx:
                tx.add(Site(name=f"{name}-{number}", created_at=MOMENT))

    async def read(where: Database) -> None:
        for _ in range(30):
            async with where.snapshot() as session:
                await session.execute(text("SELECT count(*) FROM site"))

    await asyncio.gather(write(database, "a"), write(other, "b"), read(database), read(other), write(database, "c"))
    async with database.snapshot() as session:
        assert await session.scalar(text("SELECT count(*) FROM site")) == 30
    await other.close()


async def test_closing_waits_for_what_is_under_way(database_url: str) -> None:
    database = open_database(database_url)
    looking, looked = asyncio.Event(), asyncio.Event()

    async def look() -> object:
        async with database.snapshot() as session:
            looking.set()
            await looked.wait()
            return await session.scalar(text("SELECT 7"))

    under_way = asyncio.create_task(look())
    await looking.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    looked.set()
    await closing
    assert await under_way == 7
    assert database.engine.pool.checkedin() == 0, "its connection is closed with the others"  # type: ignore[attr-defined]


async def test_closing_does_not_leave_the_connection_of_a_unit_that_does_not_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.db.session.CLOSE_SECONDS", 0.05)
    database = open_database(database_url)
    looking, looked = asyncio.Event(), asyncio.Event()
    connections: list[Any] = []

    async def look() -> None:
        async with database.snapshot() as session:
            raw = await (await session.connection()).get_raw_connection()
            connections.append(raw.driver_connection)
            looking.set()
            await looked.wait()

    under_way = asyncio.create_task(look())
    await looking.wait()
    await database.close()
    looked.set()
    await asyncio.gather(under_way, return_exceptions=True)
    (connection,) = connections
    assert getattr(connection, "closed", getattr(connection, "_connection", None) is None)


def test_a_database_url_that_cannot_be_used_is_refused_without_repeating_it() -> None:
    for url in ("mysql://u:secret@h/x", "secret nonsense"):
        with pytest.raises(SettingsError) as caught:
            open_database(url)
        assert "secret" not in str(caught.value)


async def test_callers_who_go_away_at_any_moment_never_hold_up_the_next_writer(database: Database) -> None:
    chance = random.Random(7)

    async def write() -> None:
        async with database.transaction() as tx:
            for _ in range(10):
                await tx.execute(text("UPDATE alembic_version SET version_num = version_num"))

    async def read() -> None:
        async with database.snapshot() as session:
            for _ in range(10):
                await session.execute(text("SELECT count(*) FROM site"))

    for number in range(120):
        going = [asyncio.create_task(write()), asyncio.create_task(read())]
        await asyncio.sleep(chance.random() * 0.012)
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        began = time.monotonic()
        async with database.transaction() as tx:
            tx.add(Site(name=f"site-{number}", created_at=MOMENT))
        assert time.monotonic() - began < 5, f"the writer after caller {number} had to wait"
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.checkedout() == 0
    assert await is_current(database)
