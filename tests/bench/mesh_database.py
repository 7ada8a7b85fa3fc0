"""A PostgreSQL for one row: Debian's, durable, with the control plane's schema, and what it costs in CPU seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from control.db.session import open_database
from control.db.upgrade import upgrade
from tests.bench.senders import TransferFailed
from tests.postgres_server import make_database, postgres_programs, running_postgres

SETTINGS = ("fsync=on", "shared_buffers=2GB", "max_wal_size=8GB", "work_mem=16MB", "maintenance_work_mem=512MB",
            "random_page_cost=1.1", "effective_cache_size=8GB")  # fmt: skip
"""As for a machine with 8 GB and an SSD; the rest as PostgreSQL comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshDatabase:
    """A running one."""

    url: str
    postmaster: int

    def cpu_seconds(self) -> float:
        """What all processes of the server have used."""
        root = psutil.Process(self.postmaster)
        own = root.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for one in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended in this moment
                times = one.cpu_times()
                total += times.user + times.system
        return total


@contextmanager
def mesh_database() -> Iterator[MeshDatabase]:
    """An empty database with the schema, gone afterwards.

    Raises:
        TransferFailed: PostgreSQL is not installed.
    """
    programs = postgres_programs()
    if programs is None:
        raise TransferFailed("PostgreSQL is not installed")
    with running_postgres(programs, *SETTINGS) as server:
        url = make_database(server, "bench")
        asyncio.run(_migrate(url))
        with psycopg.connect(url) as connection:
            found = connection.execute("SHOW data_directory").fetchone()
        assert found is not None
        lines = (Path(found[0]) / "postmaster.pid").read_text().splitlines()
        yield MeshDatabase(url=url, postmaster=int(lines[0]))


async def _migrate(url: str) -> None:
    database = open_database(url)
    await upgrade(database)
    await database.close()
