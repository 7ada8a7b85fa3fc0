"""The control plane's database on both engines, with the real schema."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control.db.session import Database, open_database
from control.db.upgrade import upgrade
from tests.postgres_server import drop_database, make_database, postgres_programs, running_postgres

TEMPLATE = "skerry_template"


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """A running server with one migrated database, from which each test's own one is copied."""
    programs = postgres_programs()
    if programs is None:
        if os.environ.get("SKERRY_REQUIRE_ALL"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(programs) as server:
        url = make_database(server, TEMPLATE)
        asyncio.run(_migrate(url))
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that is this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'control.db'}"
        return
    server: str = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex}"
    yield make_database(server, name, TEMPLATE)
    drop_database(server, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database with the program's schema."""
    opened = open_database(database_url)
    await upgrade(opened)
    yield opened
    await opened.close()


async def _migrate(url: str) -> None:
    opened = open_database(url)
    await upgrade(opened)
    await opened.close()
