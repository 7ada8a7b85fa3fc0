"""The control plane's database on both engines, with the real schema, and the real program."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from control.db.session import Database, open_database
from control.db.upgrade import upgrade
from tests.control_fixtures import control, postgres_server
from tests.postgres_server import drop_database, make_database

__all__ = ["control", "postgres_server"]


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """One migrated database, from which each test's own one is copied: quicker than migrating each."""
    name = f"template_{uuid.uuid4().hex}"
    asyncio.run(_migrate(make_database(postgres_server, name)))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that is this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'control.db'}"
        return
    server: str = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("postgres_template")
    name = f"data_{uuid.uuid4().hex}"
    yield make_database(server, name, template)
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
