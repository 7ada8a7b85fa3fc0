"""Every route of the application, asked as every role: who may, who may not, and nobody without a login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from control.app import create_app
from control.auth import SAFE_METHODS
from control.enrolment.approvals import RequestState
from control.enrolment.models import EnrolmentRequest, EnrolmentToken
from control.injection import Provisions
from control.node_commands.models import NodeCommand
from control.node_commands.states import CommandState
from control.nodes.service import NewNode
from control.principals import INCLUDED, Grant, Role
from control.promises.middleware import NOT_TRIED
from control.role_matrix import ROUTES, Rule, Scoped
from control.rollouts.models import Rollout, RolloutSite
from control.rollouts.states import RolloutState
from control.services import Core
from control.users.accounts import AccountService
from tests.control_fixtures import GOOD_POLICY

HERE, ELSEWHERE, NODE, COMMAND, ROLLOUT = "north", "south", "0123456789abcdef", "c" * 32, "d" * 16
BOX = "e" * 16
FILLING: Mapping[str, str] = {
    "site": HERE,
    "node_id": NODE,
    "command_id": COMMAND,
    "rollout_id": ROLLOUT,
    "enrolment_id": BOX,
    "version": "1",
    "session_id": "0" * 16,
    "study_instance_uid": "1.2.3",
    "name": "nobody",
    "kind": "group",
    "node": "box-1",
}


BODIES: Mapping[tuple[str, str], object] = {
    ("POST", "/api/v1/nodes/{node_id}/commands"): {"kind": "support-bundle"},
    ("POST", "/api/v1/enrolments/{enrolment_id}/reject"): {"reason": "not ours"},
    ("POST", "/api/v1/rollouts"): {"sites": [HERE], "document": GOOD_POLICY.decode()},
}
"""Where the site of the caller is looked at after the body."""


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    found = set()
    for route in iter_route_contexts(app.routes):
        path = getattr(route, "path_format", None) or route.path
        for method in sorted(set(route.methods or {"WEBSOCKET"}) - {"HEAD"}):
            found.add((method, str(path)))
    return found


def test_every_route_has_a_line_in_the_table_and_every_line_a_route() -> None:
    assert routes_of(create_app(Provisions())) == set(ROUTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """An application over two sites, one of them with a node."""

    core: Core
    app: FastAPI

    async def client(self, *grants: Grant) -> httpx2.AsyncClient:
        """A program with these grants."""
        name = "robot-" + "-".join(f"{one.role}-{one.site or 'all'}" for one in grants)
        key, _ = await self.core.users.create_key(name, *grants, actor="test")
        return self.visitor({"Authorization": f"Bearer {key}"})

    def visitor(self, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
        """A program that is not logged in."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://mesh", headers=dict(headers or {}))


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One engine is enough here: no permission asks the database."""
    return f"sqlite:///{tmp_path / 'roles.db'}"


@pytest.fixture
async def mesh(core: Core) -> Mesh:
    await core.sites.add(ELSEWHERE, actor="test")
    north = await core.sites.add(HERE, actor="test")
    await core.policies.upload(HERE, GOOD_POLICY, actor="test")
    await core.policies.publish(HERE, 1, actor="test")
    async with core.database.transaction() as tx:
        node = NewNode(id=NODE, name="box", key_fingerprint="f", certificate_ends=core.clock())
        await core.nodes.admit(tx, north, node, actor="test")
        await tx.flush()
        tx.add(_command(core))
        tx.add(_rollout(core))
        tx.add(_token(core, north.id))
        await tx.flush()
        tx.add(_box(core, north.id))
        tx.add(RolloutSite(rollout_id=ROLLOUT, site_id=north.id, generation=1, version=2, before_version=1))
    return Mesh(core=core, app=create_app(core.provisions))


def _command(core: Core) -> NodeCommand:
    now = core.clock()
    return NodeCommand(
        id=COMMAND, node_id=NODE, site=HERE, kind="release", arguments={}, state=CommandState.REQUESTED, text="",
        asked_by="test", asked_at=now, expires_at=now,
    )  # fmt: skip


def _token(core: Core, site_id: int) -> EnrolmentToken:
    now = core.clock()
    return EnrolmentToken(
        id=BOX, secret_sha256="", site_id=site_id, created_at=now, created_by="test", expires_at=now, used_at=now
    )


def _box(core: Core, site_id: int) -> EnrolmentRequest:
    now = core.clock()
    return EnrolmentRequest(
        id=BOX, token_id=BOX, site_id=site_id, name="waits", key_fingerprint="e" * 64, address="", asked_at=now,
        expires_at=now + timedelta(days=1), state=RequestState.WAITING, reason="", decided_by="",
    )  # fmt: skip


def _rollout(core: Core) -> Rollout:
    now = core.clock()
    return Rollout(
        id=ROLLOUT, state=RolloutState.RUNNING, turn=1, wave=0, waves=["100%"], soak_seconds=1, gates={}, sha256="",
        started_at=now, started_by="test", changed_at=now, text="",
    )  # fmt: skip


async def ask(client: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    filled = path.format_map(FILLING)
    trial = method not in SAFE_METHODS and filled not in NOT_TRIED
    return await client.request(
        method, filled, params={"dry_run": "true"} if trial else {}, json=BODIES.get((method, path))
    )


def allowed(rule: Rule, grant: Grant) -> bool:
    """What the table says of a caller with one grant who asks about HERE."""
    if rule.least is None:
        return True
    if rule.least not in INCLUDED[grant.role]:
        return False
    if rule.scoped in {Scoped.PATH, Scoped.OBJECT}:
        return grant.site in {None, HERE}
    return rule.least is not Role.ADMIN or grant.site is None


HTTP = [(method, path, rule) for (method, path), rule in ROUTES.items() if method != "WEBSOCKET"]
GRANTS = [Grant(role=role) for role in Role]
GRANTS += [Grant(role=role, site=site) for role in Role if role is not Role.ADMIN for site in (HERE, ELSEWHERE)]


@pytest.mark.parametrize("grant", GRANTS, ids=str)
async def test_a_role_may_ask_exactly_what_the_table_says(mesh: Mesh, grant: Grant) -> None:
    wrong = []
    async with await mesh.client(grant) as client:
        for method, path, rule in HTTP:
            answer = await ask(client, method, path)
            # What belongs to a site that the caller cannot see is as good as unknown.
            unseen = {403, 404} if rule.scoped is Scoped.OBJECT else {403}
            refused = answer.status_code in unseen
            if (answer.status_code in {401, 500} and path != "/api/v1/login") or refused == allowed(rule, grant):
                wrong.append((method, path, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_without_a_login_only_the_open_routes_answer(mesh: Mesh) -> None:
    async with mesh.visitor() as visitor:
        for method, path, rule in HTTP:
            answer = await ask(visitor, method, path)
            if path != "/api/v1/login":
                assert (answer.status_code == 401) is not rule.open, (method, path, answer.status_code)


async def test_who_has_no_grant_may_only_ask_about_himself(mesh: Mesh) -> None:
    accounts = mesh.core.provisions.get(AccountService)
    await accounts.add("eva", "correct horse battery", [], actor="test")
    async with mesh.visitor({"Origin": "http://mesh"}) as eva:
        login = await eva.post("/api/v1/login", json={"username": "eva", "password": "correct horse battery"})
        assert login.json()["role"] is None
        for method, path, rule in HTTP:
            if not rule.open and path not in NOT_TRIED:
                answer = await ask(eva, method, path)
                assert (answer.status_code == 403) is (rule.least is not None), (method, path, answer.status_code)


@pytest.mark.parametrize(
    ("grants", "first"),
    [
        ((Grant(role=Role.VIEWER, site=HERE),), "websocket.send"),
        ((Grant(role=Role.AUDITOR),), "websocket.close"),
        ((), "websocket.close"),
    ],
)
async def test_the_live_socket_opens_for_viewers_only(mesh: Mesh, grants: tuple[Grant, ...], first: str) -> None:
    headers = []
    if grants:
        key, _ = await mesh.core.users.create_key("watcher", *grants, actor="test")
        headers.append((b"authorization", f"Bearer {key}".encode()))
    said: list[dict[str, Any]] = []
    waiting = iter([{"type": "websocket.connect"}])

    async def receive() -> dict[str, Any]:
        return next(waiting, {"type": "websocket.disconnect", "code": 1000})

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "websocket", "path": "/api/v1/live", "raw_path": b"/api/v1/live", "query_string": b"",
        "headers": headers, "subprotocols": [], "scheme": "ws", "server": ("mesh", 80), "root_path": "",
        "client": ("127.0.0.1", 1), "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await mesh.app(scope, receive, send)
    kinds = [one["type"] for one in said]
    assert kinds[0] == "websocket.accept"
    assert kinds[1:2] == [first] or (first == "websocket.send" and kinds == ["websocket.accept"])
