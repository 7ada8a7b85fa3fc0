"""Bring the schema to this program's version, in one transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from control.db.session import WRITES, Database
from control.errors import SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"

UPGRADE_LOCK = 0x534B5259
"""PostgreSQL advisory lock: two replicas that start at once upgrade one after the other."""


async def upgrade(database: Database) -> None:
    """Apply the revisions that are missing; all or none.

    Raises:
        SettingsError: the database was upgraded by a newer program.
    """
    engine = database.engine.execution_options(**{WRITES: True})
    async with engine.begin() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        await connection.run_sync(_run)


async def is_current(database: Database) -> bool:
    """Whether the schema is the one of this program."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    async with database.engine.connect() as connection:
        return await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision()) == head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _run(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(
            f"The database's schema does not fit this program: {error}",
            hint="A newer skerry-control has used it. Start that version, or restore a backup.",
        ) from error
