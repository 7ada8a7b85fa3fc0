"""A change can be tried, sent again, and tied to what its sender saw; and it changes nothing twice or unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import text

from control.app import create_app
from control.db.base import Base
from control.enrolment.approvals import RequestFacts
from control.errors import TooManyRequests
from control.limits import RequestBrake
from control.nodes.service import NewNode
from control.principals import Role
from control.promises import repository as kept_answers
from control.promises.middleware import NOT_TRIED
from control.role_matrix import ROUTES
from control.rollouts.service import RolloutService
from control.scopes.service import ScopeService
from control.services import Core
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.node_box import new_box_key, token_parts

PASSWORD = "correct horse battery"
NODE = "0123456789abcdef"


@pytest.fixture
async def api(core: Core) -> AsyncIterator[httpx2.AsyncClient]:
    north = await core.sites.add("north", actor="test")
    async with core.database.transaction() as tx:
        node = NewNode(id=NODE, name="box", key_fingerprint="f", certificate_ends=core.clock())
        await core.nodes.admit(tx, north, node, actor="test")
    await core.policies.upload("north", GOOD_POLICY, actor="test")
    for site in ("east", "west"):
        await add_running_site(core, site)
    key, _ = await core.users.create_key("robot", Role.ADMIN, actor="test")
    transport = httpx2.ASGITransport(app=create_app(core.provisions), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://mesh", headers=headers) as client:
        made = await client.post("/api/v1/users", json={"name": "eva", "password": PASSWORD})
        assert made.status_code == 201
        yield client


async def add_running_site(core: Core, name: str) -> None:
    site = await core.sites.add(name, actor="test")
    async with core.database.transaction() as tx:
        node = NewNode(id=f"{name}1", name="box", key_fingerprint=name, certificate_ends=core.clock())
        await core.nodes.admit(tx, site, node, actor="test")
    await core.policies.upload(name, GOOD_POLICY, actor="test")
    await core.policies.publish(name, 1, actor="test")


async def start_rollout(core: Core, api: httpx2.AsyncClient, site: str) -> str:
    body = {"sites": [site], "document": GOOD_POLICY.decode()}
    made = await api.post("/api/v1/rollouts", json=body)
    assert made.status_code == 201, made.text
    await core.provisions.get(RolloutService).driver().drive()
    return str(made.json()["id"])


async def everything(core: Core) -> Mapping[str, list[str]]:
    """All rows of all tables, but for the answers that are kept."""
    async with core.database.snapshot() as session:
        return {
            table: sorted(str(row) for row in await session.execute(text(f"SELECT * FROM {table}")))
            for table in Base.metadata.tables
            if table != "kept_answer"
        }


BODIES: Mapping[str, object] = {
    "/api/v1/sites": {"name": "south"},
    "/api/v1/users": {"name": "ada", "password": PASSWORD, "grants": [{"role": "viewer", "site": "north"}]},
    "/api/v1/users/eva/password": {"password": "another horse battery"},
    "/api/v1/users/eva/grant": {"role": "operator", "site": "north"},
    "/api/v1/users/eva/revoke": {"role": "operator", "site": "north"},
    "/api/v1/api-keys": {"name": "second", "role": "viewer"},
    "/api/v1/groups": {"name": "mr"},
    "/api/v1/groups/ct/add": {"site": "north"},
    "/api/v1/groups/ct/remove": {"site": "north"},
    "/api/v1/rollouts": {"sites": ["east"], "document": GOOD_POLICY.decode()},
    f"/api/v1/nodes/{NODE}/commands": {"kind": "support-bundle"},
    "/api/v1/sites/north/approval": {"needed": True},
}
NAMES: Mapping[str, str] = {"/api-keys": "robot", "/groups": "ct", "/layers": "ct"}
NEEDS_MORE = frozenset(
    {
        "/api/v1/me/password",
        "/api/v1/sessions/{session_id}/end",
        "/api/v1/rollouts/{rollout_id}/resume",
        "/api/v1/sites/{site}/pools/{node}/say",
    }
)
"""Tried below, by a person with a session and on a paused roll-out; on a pool in `control_core/test_pools.py`."""


async def box_that_waits(core: Core) -> str:
    token = await core.enrolment.create_token("north", actor="test", needs_approval=True)
    token_id, secret = token_parts(token.text)
    asked = await core.enrolment.enrol(
        token_id=token_id, token_secret=secret, node_name="waits", csr_pem=new_box_key().csr_pem
    )
    assert isinstance(asked, RequestFacts)
    return asked.id


async def test_a_trial_of_any_change_answers_as_the_change_would_and_leaves_nothing(
    core: Core, api: httpx2.AsyncClient
) -> None:
    rollout, box = await start_rollout(core, api, "west"), await box_that_waits(core)
    bodies: dict[str, object] = {**BODIES, f"/api/v1/enrolments/{box}/reject": {"reason": "not ours"}}
    await core.provisions.get(ScopeService).add_group("ct", actor="test")
    await core.provisions.get(ScopeService).upload("group/ct", GOOD_POLICY, actor="test")
    before = await everything(core)
    tried = 0
    for method, path in ROUTES:
        if method != "POST" or path in NOT_TRIED or path in NEEDS_MORE:
            continue
        name = next((one for part, one in NAMES.items() if part in path), "eva")
        filled = path.format_map(
            {"site": "north", "node_id": NODE, "version": "1", "name": name, "rollout_id": rollout, "kind": "group"}
            | {"enrolment_id": box}
        )
        if filled.endswith(("/policies", "/check", "/preview", "/layers/group/ct")):
            answer = await api.post(filled, content=GOOD_POLICY, params={"dry_run": "true"})
        else:
            answer = await api.post(filled, json=bodies.get(filled), params={"dry_run": "true"})
        assert answer.is_success, (filled, answer.text)
        assert answer.headers["skerry-dry-run"] == "true"
        assert await everything(core) == before, filled
        tried += 1
    assert tried >= 16
    (await api.post(f"/api/v1/rollouts/{rollout}/pause")).raise_for_status()
    paused = await everything(core)
    assert (await api.post(f"/api/v1/rollouts/{rollout}/resume?dry_run=true")).is_success
    assert await everything(core) == paused
    assert core.board.place(1) is None or core.board.place(1) == (0, 0)


async def test_a_trial_is_refused_for_what_the_change_would_be_refused_for(core: Core, api: httpx2.AsyncClient) -> None:
    answer = await api.post("/api/v1/sites?dry_run=true", json={"name": "north"})
    assert (answer.status_code, answer.json()["code"]) == (409, "NAME_TAKEN")
    answer = await api.post("/api/v1/sites?dry_run=perhaps", json={"name": "south"})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_QUERY")
    answer = await api.post("/api/v1/login?dry_run=true", json={"username": "eva", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_QUERY")


async def test_the_same_request_with_the_same_key_is_done_once(core: Core, api: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "7"}
    first = await api.post("/api/v1/sites/north/tokens", json={"hours": 2}, headers=headers)
    before = await everything(core)
    again = await api.post("/api/v1/sites/north/tokens", json={"hours": 2}, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert await everything(core) == before
    other = await api.post("/api/v1/sites/north/tokens", json={"hours": 3}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "KEY_REUSED")


async def test_many_at_once_with_one_key_do_it_once(core: Core, api: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "at once"}
    ask = [api.post("/api/v1/sites/north/tokens", json={}, headers=headers) for _ in range(8)]
    answers = await asyncio.gather(*ask)
    assert {one.status_code for one in answers} <= {201, 409}
    assert len({one.content for one in answers if one.status_code == 201}) == 1
    assert len((await everything(core))["enrolment_token"]) == 1


async def test_a_death_between_the_change_and_its_kept_answer_doubles_nothing_for_a_day(
    core: Core, api: httpx2.AsyncClient, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_arguments: object) -> None:
        raise asyncio.CancelledError  # as good as a process that is gone: nothing after it runs

    headers = {"Idempotency-Key": "died"}
    with monkeypatch.context() as patch:
        patch.setattr(kept_answers, "seal", dies)
        patch.setattr(kept_answers, "forget", dies)
        with pytest.raises(asyncio.CancelledError):
            await api.post("/api/v1/sites/north/tokens", json={}, headers=headers)
    after = await everything(core)
    assert len(after["enrolment_token"]) == 1
    for hours in (0, 1, 22):
        clock.advance(timedelta(hours=hours))
        again = await api.post("/api/v1/sites/north/tokens", json={}, headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, "REQUEST_UNDER_WAY")
    assert await everything(core) == after


async def test_a_kept_answer_opens_to_its_caller_only_and_for_a_day(
    core: Core, api: httpx2.AsyncClient, clock: FakeClock
) -> None:
    headers = {"Idempotency-Key": "k"}
    made = await api.post("/api/v1/sites/north/tokens", json={}, headers=headers)
    async with core.database.snapshot() as session:
        kept = [bytes(row[0]) for row in await session.execute(text("SELECT sealed FROM kept_answer"))]
    secret = made.json()["token"].rpartition(".")[2]
    assert kept
    assert not [one for one in kept if secret.encode() in one]
    key, _ = await core.users.create_key("other", Role.ADMIN, actor="test")
    other = await api.post("/api/v1/sites/north/tokens", json={}, headers=headers | {"Authorization": f"Bearer {key}"})
    assert other.json()["token"] != made.json()["token"]
    clock.advance(timedelta(hours=25))
    later = await api.post("/api/v1/sites/north/tokens", json={}, headers=headers)
    assert later.json()["token"] != made.json()["token"]


async def test_what_was_refused_can_be_sent_again_with_the_same_key(core: Core, api: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "again"}
    refused = await api.post("/api/v1/sites/south/tokens", json={}, headers=headers)
    assert refused.status_code == 404
    await core.sites.add("south", actor="test")
    assert (await api.post("/api/v1/sites/south/tokens", json={}, headers=headers)).status_code == 201


async def test_a_publication_over_a_change_that_nobody_looked_at_is_refused(api: httpx2.AsyncClient) -> None:
    policies = "/api/v1/sites/north/policies"
    seen = (await api.get(policies)).headers["etag"]
    uploaded = await api.post(policies, content=GOOD_POLICY, headers={"If-Match": seen})
    assert (uploaded.status_code, uploaded.json()["version"]) == (201, 2)
    late = await api.post(f"{policies}/1/publish", headers={"If-Match": seen})
    assert (late.status_code, late.json()["code"]) == (412, "POLICY_MOVED")
    assert late.json()["etag"] == uploaded.headers["etag"] == (await api.get(policies)).headers["etag"]
    published = await api.post(f"{policies}/2/publish", headers={"If-Match": late.json()["etag"]})
    assert published.status_code == 200
    assert published.headers["etag"] != uploaded.headers["etag"]
    assert (await api.post(f"{policies}/2/publish", headers={"If-Match": "*"})).status_code == 200


async def test_every_answer_to_a_fault_is_a_problem_document(api: httpx2.AsyncClient) -> None:
    faults = [
        ("GET", "/nowhere"),
        ("PUT", "/api/v1/sites"),
        ("GET", "/api/v1/sites?limit=0"),
        ("GET", "/api/v1/nodes/none"),
        ("POST", "/api/v1/users"),
        ("GET", "/static/none"),
    ]
    for method, path in faults:
        answer = await api.request(method, path)
        assert answer.headers["content-type"] == "application/problem+json", path
        assert answer.json()["code"]
    assert (await api.request("PUT", "/api/v1/sites")).headers["allow"] == "GET, POST"


def test_a_caller_who_asks_too_fast_is_told_when_to_come_back() -> None:
    now = [0.0]
    brake = RequestBrake(each_second=2, burst=3, monotonic=lambda: now[0])
    for _ in range(3):
        brake.take("key:a")
    with pytest.raises(TooManyRequests) as caught:
        brake.take("key:a")
    assert caught.value.retry_after == 1
    brake.take("key:b")
    now[0] += 0.5
    brake.take("key:a")
