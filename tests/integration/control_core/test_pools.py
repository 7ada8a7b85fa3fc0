"""A site's pools follow its policy and its nodes; people say who rests; managers tell what is so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from control.app import create_app
from control.enrolment.ca_files import MeshKeys
from control.errors import InvalidCommand, LastPoolMember, NotInAPool, UnknownSite
from control.nodes.reports import NodeCaller
from control.nodes.service import NewNode
from control.pools.service import PoolService, SignedPools
from control.principals import Role
from control.services import Core
from mesh.pools import PoolsDocument
from mesh.signing import pools_payload
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.status_reports import WELL, say

NODES = {"a" * 32: "box-1", "b" * 32: "box-2"}
ONE, TWO = NODES
POOLS = b"""pools:
  - name: images
    listeners:
      - {name: dicom, kind: dicom, bind: '0.0.0.0:104'}
    members:
      - {node: box-2, weight: 50}
"""


@pytest.fixture
async def callers(core: Core) -> Mapping[str, NodeCaller]:
    site = await core.sites.add("north", actor="test")
    found = {}
    for number, (node_id, name) in enumerate(NODES.items()):
        new = NewNode(id=node_id, name=name, key_fingerprint=name, certificate_ends=core.clock())
        async with core.database.transaction() as tx:
            await core.nodes.admit(tx, site, new, actor="test")
        found[name] = await core.nodes.recognise(node_id, "north")
        await say(core, found[name], replace(WELL, addresses={"dicom": f"10.0.0.{number}:11112"}))
    return found


@pytest.fixture
def pools(core: Core) -> PoolService:
    return core.pools


async def publish(core: Core, document: bytes = GOOD_POLICY + POOLS) -> None:
    kept = await core.policies.upload("north", document, actor="test")
    await core.policies.publish("north", kept.version, actor="test")


async def wanted(pools: PoolService, caller: NodeCaller, have: int = 0, refused: int = 0) -> SignedPools:
    found = await pools.pull(caller, have=have, refused=refused, wait_seconds=0)
    assert found is not None
    return found


def members(found: SignedPools) -> dict[str, Any]:
    (pool,) = PoolsDocument.model_validate_json(found.document).pools
    return {one.node: one for one in pool.members}


def report(order: int, working: tuple[str, ...] = ("box-1", "box-2"), **more: Any) -> bytes:
    said = {
        "ready": True, "order": order, "origin": "centre", "haproxy_running": True, "haproxy_version": "2.6.12",
        "old_workers": 0, "reloads": 1, "last_reload": 5, "rejected": None, "words": [], "conditions": [],
        "members": [
            {"pool": "images", "listener": "dicom", "node": name, "admin": "ready", "up": name in working,
             "status": "UP", "sessions": 2, "weight": 100, "check": "L7OK", "check_words": "", "agent": "",
             "changed": 1}
            for name in NODES.values()
        ],
    } | more  # fmt: skip
    return json.dumps(said).encode()


async def test_every_node_of_the_site_is_a_member_and_the_document_is_signed(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller], keys: MeshKeys
) -> None:
    assert await pools.pull(callers["box-1"], have=0, refused=0, wait_seconds=0) is None, "no pools, no document"
    await publish(core)
    found = await wanted(pools, callers["box-1"])
    assert {name: one.addresses.dicom for name, one in members(found).items()} == {
        "box-1": "10.0.0.0:11112",
        "box-2": "10.0.0.1:11112",
    }
    assert {name: one.weight for name, one in members(found).items()} == {"box-1": 100, "box-2": 50}
    Ed25519PublicKey.from_public_bytes(keys.policy_public_key).verify(
        found.signature, pools_payload(site="north", order=found.order, document=found.document)
    )
    again = await wanted(pools, callers["box-2"])
    assert again == found, "the same facts, the same order"
    assert await pools.pull(callers["box-1"], have=found.order, refused=0, wait_seconds=0) is None
    assert await pools.pull(callers["box-1"], have=0, refused=found.order, wait_seconds=0) is None


async def test_membership_follows_the_fleet_and_each_change_has_a_higher_order(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller]
) -> None:
    await publish(core)
    first = await wanted(pools, callers["box-1"])
    await say(core, callers["box-2"], replace(WELL, addresses={"dicom": "10.0.0.9:104", "agent": "10.0.0.9:8041"}))
    moved = await wanted(pools, callers["box-1"], have=first.order)
    assert members(moved)["box-2"].addresses.agent == "10.0.0.9:8041"
    await core.nodes.revoke(TWO, actor="test")
    left = await wanted(pools, callers["box-1"], have=moved.order)
    assert set(members(left)) == {"box-1"}
    await say(core, callers["box-1"], WELL)
    nowhere = await wanted(pools, callers["box-1"], have=left.order)
    assert members(nowhere) == {}, "a node that tells no address is no member"
    await publish(core, GOOD_POLICY)
    none = await wanted(pools, callers["box-1"], have=nowhere.order)
    assert PoolsDocument.model_validate_json(none.document).pools == [], "pools that are taken away are said so"
    assert first.order < moved.order < left.order < nowhere.order < none.order


async def test_a_word_reaches_a_manager_that_waits_at_once(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller]
) -> None:
    await publish(core)
    first = await wanted(pools, callers["box-1"])
    await pools.hear(callers["box-1"], report(first.order))
    waiting = asyncio.create_task(pools.pull(callers["box-1"], have=first.order, refused=0, wait_seconds=8))
    await asyncio.sleep(0.2)
    said = await pools.say(
        "north", "box-1", state="drain", weight=None, deadline_seconds=60, last=False, actor="user:eva"
    )
    found = await asyncio.wait_for(waiting, 5)
    assert found is not None
    word = members(found)["box-1"]
    assert (word.state, word.deadline - word.since) == ("drain", 60)
    assert said.words["box-1"].state == "drain"
    await pools.say("north", "box-1", state=None, weight=20, deadline_seconds=0, last=False, actor="user:eva")
    later = members(await wanted(pools, callers["box-1"], have=found.order))["box-1"]
    assert (later.state, later.since, later.weight) == ("drain", word.since, 20), "a share says nothing of the state"


async def test_the_last_member_that_works_is_not_drained_unless_it_is_meant(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller], clock: FakeClock
) -> None:
    await publish(core)

    async def drain(node: str, *, last: bool = False) -> None:
        await pools.say("north", node, state="drain", weight=None, deadline_seconds=0, last=last, actor="user:eva")

    with pytest.raises(LastPoolMember, match="No manager"):
        await drain("box-1")
    await pools.hear(callers["box-1"], report(1, working=("box-1",)))
    with pytest.raises(LastPoolMember, match=r"images\.dicom"):
        await drain("box-1")
    await drain("box-2")
    await drain("box-1", last=True)
    clock.advance(timedelta(minutes=10))
    with pytest.raises(LastPoolMember, match="No manager"):
        await drain("box-2")
    with pytest.raises(NotInAPool):
        await drain("box-3")
    with pytest.raises(UnknownSite):
        await pools.say("south", "box-1", state="ready", weight=None, deadline_seconds=0, last=False, actor="x")


async def test_a_word_is_later_than_what_was_said_at_the_site_whatever_the_clocks_say(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller], clock: FakeClock
) -> None:
    await publish(core)
    ahead = int(clock().timestamp()) + 5000
    local = {"node": "box-1", "state": "drain", "weight": None, "since": ahead, "deadline": 0, "by": "root"}
    await pools.hear(callers["box-1"], report(1, words=[local]))
    said = await pools.say("north", "box-1", state="ready", weight=None, deadline_seconds=0, last=False, actor="x")
    assert said.words["box-1"].since == ahead + 1


async def test_a_refusal_reaches_the_centre_in_haproxys_words(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller]
) -> None:
    await publish(core)
    refused = {"order": 7, "code": "check_failed", "words": "unable to stat SSL certificate"}
    await pools.hear(callers["box-1"], report(1, rejected=refused))
    (site,) = await pools.of(None)
    assert site.managers[0].report.rejected is not None
    assert site.managers[0].report.rejected.words == "unable to stat SSL certificate"
    assert not site.managers[0].silent


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", report(-1), report(1, members=[{}]), b" " * (2 << 20), report(1, ready="perhaps")]
)
async def test_a_report_that_is_none_is_refused(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller], content: bytes
) -> None:
    with pytest.raises(InvalidCommand):
        await pools.hear(callers["box-1"], content)
    assert await pools.of(None) == []


@pytest.fixture
async def api(core: Core) -> AsyncIterator[httpx2.AsyncClient]:
    key, _ = await core.users.create_key("robot", Role.ADMIN, actor="test")
    transport = httpx2.ASGITransport(app=create_app(core.provisions), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://mesh", headers=headers) as client:
        yield client


async def test_pools_over_rest_and_a_dry_run_that_changes_nothing(
    core: Core, pools: PoolService, callers: Mapping[str, NodeCaller], api: httpx2.AsyncClient
) -> None:
    await publish(core)
    first = await wanted(pools, callers["box-1"])
    await pools.hear(callers["box-1"], report(first.order))
    path = "/api/v1/sites/north/pools/box-1/say"
    tried = await api.post(path, json={"state": "drain"}, params={"dry_run": "true"})
    assert tried.is_success, tried.text
    assert tried.json()["words"] == {"box-1": {"state": "drain", "weight": None} | _times(tried.json())}
    assert (await api.get("/api/v1/pools")).json()["items"][0]["words"] == {}
    assert (await api.post(path, json={})).status_code == 422
    assert (await api.post(path, json={"state": "drain"})).is_success
    (shown,) = (await api.get("/api/v1/sites/north/pools")).json()["items"]
    assert shown["words"]["box-1"]["state"] == "drain"
    assert [one["node"] for one in shown["managers"][0]["report"]["members"]] == ["box-1", "box-2"]


def _times(item: Mapping[str, Any]) -> dict[str, int]:
    word = item["words"]["box-1"]
    return {"since": word["since"], "deadline": word["deadline"]}
