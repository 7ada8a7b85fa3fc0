"""A consistent copy of the database while the control plane runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from control.errors import SettingsError

BUSY_SECONDS = 60.0
DUMP_SECONDS = 3600


def copy_sqlite(source: Path, to: Path) -> None:
    """The database as it is at one moment; writers wait meanwhile.

    Raises:
        SettingsError: it cannot be read, or the copy is not whole.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as here,
            closing(sqlite3.connect(to)) as there,
        ):
            here.backup(there)
            (verdict,) = there.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise SettingsError(f"The database {source} cannot be copied: {error}.") from None
    if verdict != "ok":
        raise SettingsError(f"The database {source} is damaged: {str(verdict)[:200]}.")


def dump_postgresql(url_text: str, to: Path) -> None:
    """What `pg_dump` makes of it, for `pg_restore`. The password goes through the environment, never an argument.

    Raises:
        SettingsError: there is no pg_dump, or it failed.
    """
    program = shutil.which("pg_dump") or _debian_program()
    if program is None:
        raise SettingsError("pg_dump is not installed.", hint="Install postgresql-client, or give --keys-only.")
    url = _url(url_text)
    environment = dict(os.environ) | {
        "PGHOST": url.host or str(url.query.get("host", "")),
        "PGPORT": str(url.port or 5432),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database or "",
    }
    done = subprocess.run(
        [program, "--format=custom", f"--file={to}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DUMP_SECONDS,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it does not say why"]
        raise SettingsError(f"pg_dump failed: {lines[-1][:300]}.")


def is_postgresql(url_text: str) -> bool:
    """Whether the database is a PostgreSQL."""
    return _url(url_text).get_backend_name() == "postgresql"


def _url(text: str) -> URL:
    try:
        return make_url(text)
    except ArgumentError:
        raise SettingsError("The URL of the database cannot be read.") from None


def _debian_program() -> str | None:
    """Debian keeps the programs of each major version apart; the newest can dump all."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else None
