"""Roll-outs over REST and on the command line, as people and programs start, watch and end them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from control.app import create_app
from control.principals import Grant, Role
from control.services import Core
from tests.control_fixtures import BROKEN_POLICY, FakeClock, RunningControl, control_command, running_control
from tests.node_box import enrol_box
from tests.rollout_fleet import BAD_POLICY, NEXT_POLICY, Fleet

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One engine is enough here: the other tests of roll-outs run on both."""
    return f"sqlite:///{tmp_path / 'rollouts.db'}"


@pytest.fixture
async def fleet(core: Core, clock: FakeClock) -> Fleet:
    fleet = Fleet(core, clock)
    await fleet.add({"north": 3, "south": 1})
    return fleet


async def client(core: Core, *grants: Grant) -> httpx2.AsyncClient:
    key, _ = await core.users.create_key(f"robot-{grants[0].role}", *grants, actor="test")
    transport = httpx2.ASGITransport(app=create_app(core.provisions))
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://mesh/api/v1", headers=headers)


async def test_a_roll_out_is_tried_started_once_seen_and_ended_over_rest(core: Core, fleet: Fleet) -> None:
    body = {"sites": ["north"], "document": NEXT_POLICY.decode(), "waves": ["1", "100%"]}
    async with await client(core, Grant(role=Role.ADMIN)) as admin:
        trial = await admin.post("/rollouts", json=body, params={"dry_run": "true"})
        assert [one["nodes"] for one in trial.json()["waves"]] == [1, 2]
        assert (await admin.get("/rollouts")).json()["items"] == []
        key = {"Idempotency-Key": "once"}
        started = [await admin.post("/rollouts", json=body, headers=key) for _ in range(2)]
        assert [one.status_code for one in started] == [201, 201]
        assert started[0].json()["id"] == started[1].json()["id"]
        path = f"/rollouts/{started[0].json()['id']}"
        held = await admin.post("/sites/north/policies/1/publish")
        assert (held.status_code, held.json()["code"]) == (409, "POLICY_HELD")
        await fleet.pass_time(rounds=1)
        stale = await admin.post(f"{path}/abort", headers={"If-Match": started[0].headers["ETag"]})
        assert (stale.status_code, stale.json()["code"]) == (412, "ROLLOUT_MOVED")
        seen = await admin.get(path)
        assert seen.json()["state"] == "running"
        ended = await admin.post(f"{path}/abort", headers={"If-Match": seen.headers["ETag"]})
        assert ended.json()["state"] == "rolling_back"
        again = await admin.post(f"{path}/abort")
        assert (again.status_code, again.json()["code"]) == (409, "NOT_NOW")
        assert (await admin.get("/rollouts/0123")).status_code == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"document": BROKEN_POLICY.decode()}, "INVALID_POLICY"),
        ({"waves": ["10%"]}, "INVALID_ROLLOUT"),
        ({"waves": ["50%", "10%", "100%"]}, "INVALID_ROLLOUT"),
        ({"gates": {"max_luck": 1}}, "INVALID_REQUEST"),
        ({"sites": ["nowhere"]}, "UNKNOWN_SITE"),
        ({"sites": []}, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_rolled_out_is_refused_with_the_reason(
    core: Core, fleet: Fleet, change: dict[str, object], code: str
) -> None:
    body: dict[str, object] = {"sites": ["north"], "document": NEXT_POLICY.decode()}
    async with await client(core, Grant(role=Role.ADMIN)) as admin:
        refused = await admin.post("/rollouts", json=body | change)
        assert refused.json()["code"] == code
        assert (await admin.get("/rollouts")).json()["items"] == []


async def test_who_rules_one_site_starts_nothing_over_two_and_sees_of_it_what_is_his(core: Core, fleet: Fleet) -> None:
    both = {"sites": ["north", "south"], "document": BAD_POLICY.decode(), "waves": ["100%"]}
    async with await client(core, Grant(role=Role.SITE_ADMIN, site="north")) as ruler:
        assert (await ruler.post("/rollouts", json=both)).status_code == 404
        async with await client(core, Grant(role=Role.ADMIN)) as admin:
            path = f"/rollouts/{(await admin.post('/rollouts', json=both)).json()['id']}"
        await fleet.pass_time(rounds=2)
        seen = (await ruler.get(path)).json()
        assert {one["site"] for one in seen["nodes"]} == {"north"}
        assert [one["site"] for one in seen["sites"]] == ["north"]
        assert (seen["steps"], seen["text"]) == ([], "")
        assert (await ruler.post(f"{path}/abort")).status_code == 403
        [listed] = (await ruler.get("/rollouts", params={"limit": 1})).json()["items"]
        assert listed["state"] == "soaking"
    await core.sites.add("west", actor="test")
    async with await client(core, Grant(role=Role.VIEWER, site="west")) as stranger:
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get("/rollouts")).json()["items"] == []


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControl]:
    with running_control(tmp_path_factory.mktemp("rollouts") / "data") as running:
        api = running.client()
        api.post("/api/v1/sites", json={"name": "north"}).raise_for_status()
        enrol_box(api, "north", "box")
        yield running


@pytest.fixture
def run(program: RunningControl) -> Run:
    password = str(program.data_dir / "admin-password")
    environment = dict(os.environ) | {"SKERRY_URL": program.url, "SKERRY_PASSWORD_FILE": password}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = control_command(*words)
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)

    return run


def test_the_commands_say_what_a_roll_out_does(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_bytes(NEXT_POLICY)
    early = run("rollout", "start", str(policy), "north")
    assert early.returncode != 0
    assert "policy publish" in early.stderr
    assert run("policy", "publish", "north", str(policy)).returncode == 0
    trial = run("rollout", "start", str(policy), "north", "--dry-run")
    assert trial.stdout.startswith("Nothing was changed. It would be: Roll-out")
    assert "no gate" in run("rollout", "start", str(policy), "north", "--gate", "x").stderr
    words = ("--waves", "1,100%", "--soak", "0", "--gate", "apply_seconds=60", "--json")
    started = json.loads(run("rollout", "start", str(policy), "north", *words).stdout)
    shown = run("rollout", "show", started["id"]).stdout
    assert "wave  nodes  given  applied  failed  absent  back" in shown
    assert "north (1 -> 2)" in shown
    assert started["id"] in run("rollout", "list", "--site", "north").stdout
    ended = json.loads(run("rollout", "abort", started["id"], "--json").stdout)
    assert ended["state"] in {"rolling_back", "rolled_back"}
    late = run("rollout", "pause", started["id"])
    assert late.returncode != 0
    assert "rollout show" in late.stderr
