"""Who was refused, where from and why stands in the audit trail; a guesser cannot fill it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from control.audit.service import AuditService
from control.first_start import ensure_first_user
from control.services import Core
from tests.control_fixtures import FakeClock, RunningControl, running_control
from tests.node_box import enrol_body, new_box_key


def from_address(control: RunningControl, address: str) -> httpx2.Client:
    transport = httpx2.HTTPTransport(local_address=address)
    return httpx2.Client(base_url=control.url, headers={"Origin": control.url}, transport=transport, timeout=30)


def trail(control: RunningControl, action: str) -> list[dict[str, Any]]:
    rows = control.client().get("/api/v1/audit", params={"limit": 1000}).json()["items"]
    return [row for row in rows if row["action"] == action]


@pytest.fixture
def program(tmp_path: Path) -> Any:
    with running_control(tmp_path / "data") as running:
        yield running


def test_a_refused_login_is_in_the_trail_and_the_log_without_what_was_typed(program: RunningControl) -> None:
    guesser = from_address(program, "127.0.0.2")
    for name in ("admin", "hunter2-typed-in-the-wrong-field"):
        guesser.post("/api/v1/login", json={"username": name, "password": "s3cret-guess"})
    rows = trail(program, "user.login-refused")
    assert [(row["actor"], row["object"]) for row in rows] == [
        ("address:127.0.0.2", "user:?"),
        ("address:127.0.0.2", "user:admin"),
    ]
    assert [row["after"]["reason"] for row in rows] == ["no such user", "wrong password"]
    log = program.data_dir.with_suffix(".log").read_text()
    assert '"event": "login.refused"' in log
    for told in (json.dumps(rows), log):
        assert "hunter2" not in told
        assert "s3cret" not in told


def test_a_guesser_writes_no_more_rows_than_the_brake_lets_it_try(program: RunningControl) -> None:
    guesser = from_address(program, "127.0.0.2")
    for _ in range(15):
        guesser.post("/api/v1/login", json={"username": "admin", "password": "guess"})
    assert len(trail(program, "user.login-refused")) == 10


def test_a_refused_token_is_in_the_trail_with_address_and_reason(program: RunningControl) -> None:
    api = program.client()
    api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
    token = api.post("/api/v1/sites/north/tokens").json()["token"]
    token_id, secret = token.rsplit(".", 2)[1:]
    box = from_address(program, "127.0.0.3")
    body = enrol_body(token, name="box", csr_pem=new_box_key().csr_pem)
    assert box.post("/api/v1/enrol", content=body).status_code == 200
    box.post("/api/v1/enrol", content=enrol_body(token, name="box", csr_pem=new_box_key().csr_pem))
    box.post("/api/v1/enrol", content=body.replace(secret, "f" * 40))
    box.post("/api/v1/enrol", content=body.replace(token_id, "0" * 16))
    rows = trail(program, "token.refused")
    assert [(row["actor"], row["object"], row["after"]["reason"]) for row in reversed(rows)] == [
        ("address:127.0.0.3", f"token:{token_id}", "TOKEN_USED"),
        ("address:127.0.0.3", f"token:{token_id}", "TOKEN_UNKNOWN"),
        ("address:127.0.0.3", "token:" + "0" * 16, "TOKEN_UNKNOWN"),
    ]
    log = program.data_dir.with_suffix(".log").read_text()
    assert log.count('"event": "token.refused"') == 3
    assert secret not in json.dumps(rows) + log


async def test_logins_of_the_commands_are_one_row_an_hour_and_those_of_people_one_each(
    core: Core, clock: FakeClock, tmp_path: Path
) -> None:
    await ensure_first_user(core.users, tmp_path)
    password = (tmp_path / "admin-password").read_text().strip()
    audit = core.provisions.get(AuditService)

    async def logins() -> int:
        return len([row for row in await audit.page(before=None, limit=100) if row.action == "user.login"])

    for _ in range(3):
        await core.users.log_in("admin", password, address="127.0.0.1", by_command=True)
    assert await logins() == 1
    await core.users.log_in("admin", password, address="10.0.0.7", by_command=True)
    assert await logins() == 2
    for _ in range(2):
        await core.users.log_in("admin", password, address="127.0.0.1")
    assert await logins() == 4
    clock.advance(timedelta(hours=1))
    await core.users.log_in("admin", password, address="127.0.0.1", by_command=True)
    assert await logins() == 5
