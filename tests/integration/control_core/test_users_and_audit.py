"""Who may come in, and the trail of what they changed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from control.audit.service import AuditService
from control.errors import NameTaken, WrongCredentials
from control.first_start import ensure_first_user
from control.principals import Authenticator, Role
from control.services import Core
from tests.control_fixtures import FakeClock


@pytest.fixture
async def password(core: Core, tmp_path: Path) -> str:
    await ensure_first_user(core.users, tmp_path)
    return (tmp_path / "admin-password").read_text().strip()


@pytest.fixture
def audit(core: Core) -> AuditService:
    return core.provisions.get(AuditService)


@pytest.fixture
def authenticator(core: Core) -> Authenticator:
    return core.provisions.get(Authenticator)


async def test_the_first_start_leaves_a_password_that_only_its_owner_can_read(
    core: Core, password: str, tmp_path: Path, authenticator: Authenticator
) -> None:
    assert (tmp_path / "admin-password").stat().st_mode & 0o777 == 0o600
    login = await core.users.log_in("admin", password)
    caller = await authenticator.by_session(login.token)
    assert caller is not None
    assert (caller.actor, caller.role) == ("user:admin", Role.ADMIN)


async def test_a_second_start_changes_nothing(core: Core, password: str, tmp_path: Path) -> None:
    (tmp_path / "admin-password").unlink()
    await ensure_first_user(core.users, tmp_path)
    assert not (tmp_path / "admin-password").exists()
    await core.users.log_in("admin", password)


@pytest.mark.parametrize("name", ["admin", "nobody"])
async def test_a_wrong_password_and_an_unknown_user_look_the_same(core: Core, password: str, name: str) -> None:
    with pytest.raises(WrongCredentials) as caught:
        await core.users.log_in(name, "guess")
    assert str(caught.value) == "The user name or the password is wrong."


async def test_a_session_ends_after_twelve_hours_or_at_logout(
    core: Core, password: str, clock: FakeClock, authenticator: Authenticator
) -> None:
    first, second = await core.users.log_in("admin", password), await core.users.log_in("admin", password)
    await core.users.log_out(first.token)
    assert await authenticator.by_session(first.token) is None
    assert await authenticator.by_session(second.token) is not None
    clock.advance(timedelta(hours=12))
    assert await authenticator.by_session(second.token) is None
    assert await authenticator.by_session("") is None


async def test_an_api_key_opens_until_it_is_revoked(core: Core, authenticator: Authenticator) -> None:
    key, _ = await core.users.create_key("report", Role.VIEWER, actor="test")
    caller = await authenticator.by_api_key(key)
    assert caller is not None
    assert (caller.actor, caller.role) == ("key:report", Role.VIEWER)
    for wrong in (key[:-1] + ("0" if key[-1] != "0" else "1"), "skry_", "", "skry_000000000000_" + "0" * 64, "é"):
        assert await authenticator.by_api_key(wrong) is None
    with pytest.raises(NameTaken):
        await core.users.create_key("report", Role.VIEWER, actor="test")
    await core.users.revoke_key("report", actor="test")
    assert await authenticator.by_api_key(key) is None


async def test_no_secret_is_in_the_database(core: Core, password: str, tmp_path: Path) -> None:
    login = await core.users.log_in("admin", password)
    key, _ = await core.users.create_key("report", Role.VIEWER, actor="test")
    await core.sites.add("north", actor="test")
    token = (await core.enrolment.create_token("north", actor="test")).text
    secrets = (password, login.token, key.rpartition("_")[2], token.rpartition(".")[2])
    stored = ""
    async with core.database.snapshot() as session:
        for table in ("user_account", "login_session", "api_key", "enrolment_token", "audit_row"):
            rows = await session.execute(text(f"SELECT * FROM {table}"))
            stored += "\n".join(str(row) for row in rows)
    assert not [secret for secret in secrets if secret in stored]


async def test_every_change_leaves_a_row_and_the_chain_holds(core: Core, audit: AuditService) -> None:
    await asyncio.gather(*(core.sites.add(f"site-{number}", actor="user:admin") for number in range(12)))
    with pytest.raises(NameTaken):
        await core.sites.add("site-1", actor="user:admin")
    rows = await audit.page(before=None, limit=100)
    assert [row.sequence for row in rows] == list(range(12, 0, -1))
    assert {row.object for row in rows} == {f"site:site-{number}" for number in range(12)}
    assert await audit.first_break() is None


@pytest.mark.parametrize(
    ("crime", "found"),
    [
        ("UPDATE audit_row SET actor = 'user:somebody' WHERE sequence = 3", 3),
        ("DELETE FROM audit_row WHERE sequence = 3", 4),
        ("DELETE FROM audit_row WHERE sequence = 1", 2),
    ],
)
async def test_a_changed_or_removed_row_breaks_the_chain(
    core: Core, audit: AuditService, crime: str, found: int
) -> None:
    for number in range(5):
        await core.sites.add(f"site-{number}", actor="user:admin")
    async with core.database.transaction() as tx:
        await tx.execute(text(crime))
    assert await audit.first_break() == found
