"""Two replicas of the control plane on one fresh PostgreSQL database."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.control_fixtures import RunningControl, require_postgres, running_control
from tests.postgres_server import drop_database, make_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two replicas; the first one's password is that of both."""

    first: RunningControl
    second: RunningControl

    def client(self, one: RunningControl) -> httpx2.Client:
        browser = one.visitor()
        login = {"username": "admin", "password": self.first.password}
        browser.post("/api/v1/login", json=login).raise_for_status()
        return browser


@contextmanager
def replica_pair(postgres_server: str, folder: Path) -> Iterator[Pair]:
    """Both run until the end of the block; their files are in `folder`."""
    require_postgres()
    name = f"pair_{uuid.uuid4().hex}"
    url_file = folder / "url"
    url_file.write_text(make_database(postgres_server, name))
    with running_control(folder / "first", "--database-url-file", str(url_file)) as first:
        (folder / "second").mkdir(mode=0o700)
        shutil.copytree(folder / "first" / "ca", folder / "second" / "ca")
        with running_control(folder / "second", "--database-url-file", str(url_file)) as second:
            yield Pair(first=first, second=second)
    drop_database(postgres_server, name)
