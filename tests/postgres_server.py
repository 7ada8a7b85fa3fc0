"""A PostgreSQL of our own for one test run: Debian's programs, a temporary folder, a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

FOLDERS = "/usr/lib/postgresql"


def postgres_programs() -> Path | None:
    """Where the newest installed server's programs are."""
    found = sorted(Path(FOLDERS).glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def running_postgres(programs: Path, *settings: str) -> Iterator[str]:
    """The URL of a running server, without a database name. Fast rather than durable: it lives for one test run.

    `settings` (`fsync=on`) come after ours.
    """
    # PostgreSQL refuses to run as root; Debian's package brings the account.
    account = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="skerry-pg-"))
    data, log = folder / "data", folder / "log"
    port = _free_port()
    try:
        if os.getuid() == 0:
            shutil.chown(folder, account)
        _run(account, [programs / "initdb", "-D", data, "-U", "skerry", "-A", "trust", "-E", "UTF8", "--no-sync"])
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=200"
        options += "".join(f" -c {one}" for one in settings)
        _run(account, [programs / "pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", "-o", options, "start"])
        yield f"postgresql://skerry@127.0.0.1:{port}"
    finally:
        if (data / "postmaster.pid").exists():
            _run(account, [programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def make_database(server_url: str, name: str, template: str = "template1") -> str:
    """The URL of a fresh database on that server."""
    with psycopg.connect(f"{server_url}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return f"{server_url}/{name}"


def drop_database(server_url: str, name: str) -> None:
    """Remove a database, whoever is still connected."""
    with psycopg.connect(f"{server_url}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def _run(account: str, command: list[Path | str]) -> None:
    user = account if os.getuid() == 0 else None
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
