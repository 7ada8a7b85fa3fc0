"""The control plane on both databases: services over an empty database, and the real program."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from control.db.session import Database, open_database
from control.db.upgrade import upgrade
from control.enrolment.ca_files import MeshKeys, load_or_create
from control.enrolment.service import Endpoints
from control.services import Core, build_core
from tests.postgres_server import drop_database, make_database, postgres_programs, running_postgres

GOOD_POLICY = b"""skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
routes:
  - {name: everything, to: [pacs]}
"""
BROKEN_POLICY = b"""skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
routes:
  - name: ct
    when: Modality == 7
    to: [pacs]
"""
"""Line 6 compares a text with a number."""


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The present."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


def require_postgres() -> Path:
    """Debian's PostgreSQL programs; without them the test is skipped, or fails when everything is required."""
    programs = postgres_programs()
    if programs is None:
        if os.environ.get("SKERRY_REQUIRE_ALL"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    return programs


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of this test run."""
    with running_postgres(require_postgres()) as server:
        yield server


@contextmanager
def fresh_database(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database of this kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"core_{uuid.uuid4().hex}"
    yield make_database(server, name)
    drop_database(server, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database that is this test's own."""
    with fresh_database(request.param, tmp_path, request) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the program's schema."""
    opened = open_database(database_url)
    await upgrade(opened)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FakeClock:
    """The time, in the test's hands."""
    return FakeClock()


@pytest.fixture
def keys(tmp_path: Path, clock: FakeClock) -> MeshKeys:
    """The keys of a fresh mesh."""
    return load_or_create(tmp_path / "ca", None, clock())


@pytest.fixture
def core(database: Database, keys: MeshKeys, clock: FakeClock) -> Core:
    """All services, without a server."""
    return build_core(database, keys, Endpoints(https="mesh.example:8443", grpc="mesh.example:8444"), clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningControl:
    """A real `skerry-control run`."""

    process: subprocess.Popen[str]
    data_dir: Path
    http: str
    https: str
    grpc: str

    @property
    def url(self) -> str:
        """Of the plain listener."""
        return f"http://{self.http}"

    @property
    def password(self) -> str:
        """Of the user admin."""
        return (self.data_dir / "admin-password").read_text().strip()

    def client(self) -> httpx2.Client:
        """A browser that is logged in on our own pages."""
        browser = self.visitor()
        browser.post("/api/v1/login", json={"username": "admin", "password": self.password}).raise_for_status()
        return browser

    def visitor(self) -> httpx2.Client:
        """A browser on our own pages where nobody is logged in."""
        return httpx2.Client(base_url=self.url, headers={"Origin": self.url}, trust_env=False, timeout=30)


def control_command(*words: str) -> list[str]:
    """`skerry-control` of this source tree."""
    return [sys.executable, "-c", "from control.cli import main; main()", *words]


@contextmanager
def running_control(data_dir: Path, *options: str) -> Iterator[RunningControl]:
    """Start the program, wait for its line, stop it with SIGTERM."""
    address = "127.0.0.1:0"
    where = ("--http", address, "--https", address, "--grpc", address)
    log_file = data_dir.parent / f"{data_dir.name}.log"
    with log_file.open("w") as log:
        command = control_command("run", "--data-dir", str(data_dir), *where, *options)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        assert words[:1] == ["ready"], log_file.read_text()
        ports = dict(word.split("=", 1) for word in words[1:])
        yield RunningControl(process=process, data_dir=data_dir, **ports)
    finally:
        process.terminate()
        process.wait(timeout=15)
        process.stdout.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def control(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    """The real program on each database. Shared: every test makes sites of its own."""
    folder = tmp_path_factory.mktemp(f"control-{request.param}")
    with fresh_database(request.param, folder, request) as url:
        url_file = folder / "database-url"
        url_file.write_text(url)
        with running_control(folder / "data", "--database-url-file", str(url_file)) as running:
            yield running


Run = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def control_with_sites(data_dir: Path) -> Iterator[RunningControl]:
    """A control plane that knows the sites north and south."""
    with running_control(data_dir) as running:
        for site in ("north", "south"):
            running.client().post("/api/v1/sites", json={"name": site}).raise_for_status()
        yield running


def commands_of_its_admin(program: RunningControl) -> Run:
    """`skerry-control` as the administrator of this control plane types it."""
    environment = dict(os.environ) | {
        "SKERRY_URL": program.url,
        "SKERRY_PASSWORD_FILE": str(program.data_dir / "admin-password"),
        "COLUMNS": "160",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            control_command(*words), capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    return run
