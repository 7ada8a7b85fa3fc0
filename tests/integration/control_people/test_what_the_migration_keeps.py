"""Whoever had a role before roles had sites has it everywhere afterwards, and the trail still holds."""

from __future__ import annotations

from alembic import command
from sqlalchemy import Connection, text

from control.audit.chain import AuditEntry, hash_of
from control.audit.service import AuditService
from control.db.session import WRITES, Database, open_database
from control.db.upgrade import _config, upgrade
from control.principals import Grant, Role, read_grants
from control.users import repository
from tests.control_fixtures import FakeClock


def to_revision_2(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "0002")


async def fill(database: Database, clock: FakeClock) -> None:
    now = clock()
    at = now if database.dialect == "postgresql" else int(now.timestamp() * 1_000_000)
    entry = AuditEntry(
        sequence=1, at=now, actor="user:admin", action="site.add", object="site:north", before=None,
        after={"name": "north"}, previous_hash="0" * 64,
    )  # fmt: skip
    async with database.transaction() as tx:
        for name, role in (("admin", "admin"), ("eva", "viewer")):
            await tx.execute(
                text("INSERT INTO user_account (name, password_hash, role, created_at) VALUES (:n, 'x', :r, :at)"),
                {"n": name, "r": role, "at": at},
            )
        await tx.execute(
            text(
                "INSERT INTO api_key (prefix, name, secret_sha256, role, created_at, created_by)"
                " VALUES ('p', 'robot', 'x', 'viewer', :at, 'user:admin')"
            ),
            {"at": at},
        )
        await tx.execute(
            text(
                "INSERT INTO audit_row (sequence, at, actor, action, object, after, previous_hash, hash)"
                " VALUES (1, :at, :actor, :action, :object, :after, :previous, :hash)"
            ),
            {
                "at": at, "actor": entry.actor, "action": entry.action, "object": entry.object,
                "after": '{"name": "north"}', "previous": entry.previous_hash, "hash": hash_of(entry),
            },
        )  # fmt: skip


async def test_everybody_keeps_what_they_had_and_the_trail_holds(database_url: str, clock: FakeClock) -> None:
    database = open_database(database_url)
    try:
        async with database.engine.execution_options(**{WRITES: True}).begin() as connection:
            await connection.run_sync(to_revision_2)
        await fill(database, clock)
        await upgrade(database)
        async with database.snapshot() as session:
            users = await repository.users_after(session, after="", limit=10)
            (key,) = await repository.keys_after(session, after="", limit=10)
        assert {one.name: read_grants(one.grants) for one in users} == {
            "admin": (Grant(role=Role.ADMIN),),
            "eva": (Grant(role=Role.VIEWER),),
        }
        assert (read_grants(key.grants), key.expires_at) == ((Grant(role=Role.VIEWER),), None)
        audit = AuditService(database, clock)
        assert [one.site for one in await audit.page(before=None, limit=10)] == ["north"]
        assert await audit.first_break() is None
    finally:
        await database.close()
