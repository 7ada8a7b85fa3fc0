"""Layers over groups, sites and nodes: refused unless all load, published only where the text changes, and told of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from control.app import create_app
from control.nodes.reports import NodeCaller
from control.nodes.repository import touch_all
from control.nodes.service import NewNode
from control.policy_errors import InvalidLayer, LayerMoved, PolicyHeld
from control.principals import Role
from control.rollouts.gates import Gates
from control.scopes.service import ScopeService
from control.scopes.views import ScopeViews
from control.services import Core
from edge.policy.document import load_policy
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.rollout_fleet import Fleet
from tests.status_reports import of_policies, say

MESH = GOOD_POLICY + b"retention: {keep_delivered: 24h}\n"
CT = b"skerry: 1\nroutes:\n  - {name: ct, when: 'Modality == \"CT\"', to: [pacs]}\n"
LONGER = b"skerry: 1\noverride: [retention]\nretention: {keep_delivered: 7d}\n"
SITES = ("east", "north", "west")


@pytest.fixture
async def scopes(core: Core) -> ScopeService:
    """Three sites with a node each; north and west are in the group ct, under a layer of the mesh."""
    for name in SITES:
        site = await core.sites.add(name, actor="test")
        async with core.database.transaction() as tx:
            node = NewNode(id=f"{name}1", name="box", key_fingerprint="f" * 64, certificate_ends=core.clock())
            await core.nodes.admit(tx, site, node, actor="test")
    service = core.provisions.get(ScopeService)
    await service.add_group("ct", actor="test")
    for name in ("north", "west"):
        await service.change_group("ct", name, member=True, actor="test")
    await service.upload("mesh", MESH, actor="test")
    await service.publish("mesh", 1, actor="test")
    return service


@pytest.fixture
def views(core: Core) -> ScopeViews:
    return core.provisions.get(ScopeViews)


async def runs(core: Core, node_id: str, site: str) -> tuple[tuple[int, int], bytes]:
    """What a node gets."""
    caller = await core.nodes.recognise(node_id, site)
    bundle = await core.policies.pull(caller, have=(0, 0), wait_seconds=0)
    assert bundle is not None
    return (bundle.generation, bundle.version), bundle.document


async def put(scopes: ScopeService, scope: str, document: bytes) -> Any:
    made = await scopes.upload(scope, document, actor="test")
    return await scopes.publish(scope, made.version, actor="test")


async def test_only_sites_under_a_layer_whose_text_changes_get_another_version(
    core: Core, scopes: ScopeService
) -> None:
    assert (await runs(core, "north1", "north"))[0] == (1, 1)
    assert await core.policies.page("east", before=None, limit=9) == []
    made = await put(scopes, "site/west", LONGER)
    assert (made.sites, made.changed) == (("west",), ("west",))
    assert load_policy((await runs(core, "west1", "west"))[1]).keep_delivered == timedelta(days=7)
    made = await put(scopes, "group/ct", CT)
    assert made.changed == ("north", "west")
    assert (await runs(core, "north1", "north"))[0] == (1, 2)
    assert (await runs(core, "west1", "west"))[0] == (1, 3)
    again = await put(scopes, "group/ct", CT + b"# a remark\n")
    assert again.changed == ()
    assert (await runs(core, "north1", "north"))[0] == (1, 2)


async def test_an_upload_that_some_node_could_not_load_is_refused_with_all_that_is_wrong(
    core: Core, scopes: ScopeService
) -> None:
    await put(scopes, "site/west", LONGER)
    with pytest.raises(InvalidLayer) as caught:
        await scopes.upload("group/ct", b"skerry: 1\nretention: {keep_delivered: 3d}\nzne: 1\n", actor="test")
    said = [(one["layer"], one["line"], one["of"]) for one in caught.value.diagnostics]
    assert said == [("group/ct", 2, ["north", "west"]), ("group/ct", 3, ["north", "west"])]
    # What only one site below says is found where it lies, and names whom it concerns.
    with pytest.raises(InvalidLayer) as caught:
        await scopes.upload("mesh", GOOD_POLICY, actor="test")
    said = [(one["layer"], one["line"], one["of"]) for one in caught.value.diagnostics]
    assert said == [("site/west", 2, ["west"])]
    assert len(await scopes.page("group/ct", before=None, limit=9)) == 0


async def test_a_node_may_have_something_of_its_own_and_follows_its_site_again(
    core: Core, scopes: ScopeService, views: ScopeViews
) -> None:
    site = await core.sites.page(after="", limit=9)
    async with core.database.transaction() as tx:
        node = NewNode(id="north2", name="box2", key_fingerprint="e" * 64, certificate_ends=core.clock())
        await core.nodes.admit(tx, next(one for one in site if one.name == "north"), node, actor="test")
    made = await put(scopes, "node/north1", LONGER)
    assert made.changed == ("node/north1",)
    place, document = await runs(core, "north1", "north")
    assert load_policy(document).keep_delivered == timedelta(days=7)
    assert (await runs(core, "north2", "north"))[0] == (1, 1) < place
    effective = await views.effective("north", "north1")
    assert (effective.document, effective.published) == (document, True)
    assert {one.entry: one.layer for one in effective.origins}["retention"] == "node/north1"
    # The site's next version comes to both, each with its own.
    made = await put(scopes, "group/ct", CT)
    assert made.changed == ("north", "node/north1", "west")
    theirs, (again, document) = await runs(core, "north2", "north"), await runs(core, "north1", "north")
    assert again > theirs[0] > place
    assert load_policy(document).keep_delivered == timedelta(days=7)
    assert [one.name for one in load_policy(document).routes] == ["everything", "ct"]
    made = await put(scopes, "node/north1", b"skerry: 1\n")
    assert made.changed == ("node/north1",)
    last, document = await runs(core, "north1", "north")
    assert last > again
    assert document == theirs[1]
    with pytest.raises(InvalidLayer, match="under no layer"):
        await scopes.upload("node/east1", LONGER, actor="test")


async def test_what_was_published_to_a_site_itself_is_drift_until_a_layer_is_published_again(
    core: Core, scopes: ScopeService, views: ScopeViews
) -> None:
    assert [one.why for one in await views.drift(scope=None)] == ["never-heard", "never-heard"]
    await core.policies.upload("north", GOOD_POLICY, actor="test")
    await core.policies.publish("north", 2, actor="test")
    drift = await views.drift(scope=None, site="north")
    assert [(one.node_id, one.why) for one in drift] == [("", "not-by-layers"), ("north1", "never-heard")]
    assert not (await views.effective("north")).published
    made = await scopes.publish("mesh", 1, actor="test")
    assert made.changed == ("north",)
    assert [one.why for one in await views.drift(scope=None, site="north")] == ["never-heard"]
    assert await views.drift(scope=frozenset({"east"})) == []


async def test_drift_says_since_when_and_why(
    core: Core, scopes: ScopeService, views: ScopeViews, clock: FakeClock
) -> None:
    fleet = Fleet(core, clock)
    await fleet.add({"south": 3})
    callers = [one.caller for one in fleet.nodes.values()]

    async def tell(caller: NodeCaller, active: tuple[int, int], state: str, error: str = "") -> None:
        await say(core, caller, of_policies(active=active, attempt=(1, 1), state=state, error=error))
        async with core.database.transaction() as tx:
            await touch_all(tx, {caller.node_id: clock.now})

    await tell(callers[0], (1, 1), "applied")
    await tell(callers[1], (0, 0), "rejected", "line 4: no such peer")
    drift = {one.node_id: one for one in await views.drift(scope=None, site="south")}
    assert callers[0].node_id not in drift
    refused = drift[callers[1].node_id]
    assert (refused.why, refused.wanted, refused.active) == ("rejected", (1, 1), (0, 0))
    assert "line 4: no such peer" in refused.text
    assert refused.since == clock.now
    assert callers[2].node_id not in drift
    clock.advance(timedelta(hours=1))
    await core.policies.upload("south", MESH, actor="test")
    await core.policies.publish("south", 2, actor="test")
    drift = {one.node_id: one for one in await views.drift(scope=None, site="south")}
    assert drift[callers[0].node_id].why == "silent"
    assert scopes


async def test_a_layer_waits_for_a_roll_out_and_for_whoever_was_faster(core: Core, scopes: ScopeService) -> None:
    await core.rollouts.start(["north"], GOOD_POLICY, waves=["100%"], soak_seconds=60, gates=Gates(), actor="eva")
    made = await scopes.upload("group/ct", CT, actor="test")
    with pytest.raises(PolicyHeld):
        await scopes.publish("group/ct", made.version, actor="test")
    assert (await scopes.page("group/ct", before=None, limit=9))[0].active is False
    with pytest.raises(LayerMoved) as caught:
        await scopes.upload("group/ct", CT, actor="test", if_match='"0-0"')
    assert caught.value.etag == made.etag == '"1-0"'


@pytest.fixture
async def api(core: Core, scopes: ScopeService) -> AsyncIterator[httpx2.AsyncClient]:
    key, _ = await core.users.create_key("robot", Role.ADMIN, actor="test")
    transport = httpx2.ASGITransport(app=create_app(core.provisions), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://mesh/api/v1/", headers=headers) as client:
        assert scopes
        yield client


async def test_layers_over_rest_are_tried_tied_to_what_was_seen_and_compared(api: httpx2.AsyncClient) -> None:
    tried = await api.post("layers/group/ct", content=CT, params={"dry_run": "true"})
    assert (tried.status_code, tried.json()["sites"]) == (201, ["north", "west"])
    made = await api.post("layers/group/ct", content=CT)
    assert made.json()["version"] == 1
    published = await api.post("layers/group/ct/1/publish", params={"dry_run": "true"})
    assert published.json()["changed"] == ["north", "west"]
    assert (await api.get("sites/north/effective-policy")).json()["layers"] == ["mesh"]
    late = await api.post("layers/group/ct/1/publish", headers={"If-Match": '"9-9"'})
    assert (late.status_code, late.json()["code"], late.json()["etag"]) == (412, "LAYER_MOVED", made.headers["etag"])
    assert (await api.post("layers/group/ct/1/publish", headers={"If-Match": made.headers["etag"]})).is_success
    node = (await api.get("nodes/north1/effective-policy")).json()
    assert node["layers"] == ["mesh", "group/ct"]
    assert {one["entry"]: one["layer"] for one in node["origins"]}["routes/ct"] == "group/ct"
    difference = (await api.get("sites/north/policy-diff", params={"before": 1, "after": 2})).json()
    assert difference["changes"] == [{"kind": "added", "entry": "routes/ct", "fields": []}]
    assert "+  - name: ct" in difference["text"]
    wrong = await api.post("layers/group/ct", content=CT + b"zne: 1\n")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "INVALID_LAYER")
    assert (await api.get("layers/group/ct/1")).content == CT
    assert [one["version"] for one in (await api.get("layers/group/ct")).json()["items"]] == [1]
    for path in ("layers/group/none", "layers/site/none", "layers/node/none", "layers/mesh/some", "layers/group/ct/9"):
        assert (await api.get(path)).status_code == 404, path
    assert len((await api.get("policies/drift")).json()["items"]) == 2
