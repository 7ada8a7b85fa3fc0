"""Versions are numbered, signed and ordered by the centre; a node hears of a later one and of no other."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from control.audit.service import AuditService
from control.enrolment.ca_files import MeshKeys
from control.enrolment.service import Endpoints
from control.errors import UnknownSite
from control.nodes.reports import NodeCaller
from control.nodes.service import NewNode
from control.overview.schemas import fleet_site
from control.overview.service import FleetService
from control.policy_errors import InvalidPolicy, UnknownPolicyVersion
from control.services import Core, build_core
from mesh.signing import policy_payload
from tests.control_fixtures import BROKEN_POLICY, GOOD_POLICY, FakeClock
from tests.status_reports import of_policies, say


@pytest.fixture
async def caller(core: Core) -> NodeCaller:
    site = await core.sites.add("north", actor="test")
    node = NewNode(id="n1", name="north-1", key_fingerprint="f" * 64, certificate_ends=core.clock())
    async with core.database.transaction() as tx:
        await core.nodes.admit(tx, site, node, actor="test")
    return await core.nodes.recognise("n1", "north")


async def upload(core: Core, *, publish: bool = True) -> int:
    version = (await core.policies.upload("north", GOOD_POLICY, actor="test")).version
    if publish:
        await core.policies.publish("north", version, actor="test")
    return version


async def test_versions_count_up_in_each_site_also_when_many_upload_at_once(core: Core, caller: NodeCaller) -> None:
    await core.sites.add("south", actor="test")
    uploads = [core.policies.upload(site, GOOD_POLICY, actor="test") for site in ("north", "south") for _ in range(5)]
    made = await asyncio.gather(*uploads)
    assert sorted(one.version for one in made if one.site == "north") == [1, 2, 3, 4, 5]
    assert sorted(one.version for one in made if one.site == "south") == [1, 2, 3, 4, 5]


async def test_an_upload_runs_nowhere_until_it_is_published(core: Core, caller: NodeCaller) -> None:
    await upload(core, publish=False)
    assert await core.policies.pull(caller, have=(0, 0), wait_seconds=0) is None


async def test_a_bundle_is_signed_for_its_site_and_its_place(core: Core, caller: NodeCaller, keys: MeshKeys) -> None:
    await upload(core)
    bundle = await core.policies.pull(caller, have=(0, 0), wait_seconds=0)
    assert bundle is not None
    assert bundle.sha256 == hashlib.sha256(GOOD_POLICY).digest()
    payload = policy_payload(site="north", generation=1, version=1, sha256=bundle.sha256)
    Ed25519PublicKey.from_public_bytes(keys.policy_public_key).verify(bundle.signature, payload)


async def test_going_back_keeps_the_version_and_raises_the_generation(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    await upload(core)
    assert (await core.policies.publish("north", 1, actor="test")).generation == 2
    assert (await core.policies.publish("north", 1, actor="test")).generation == 2  # the same again changes nothing
    assert (await core.policies.publish("north", 2, actor="test")).generation == 2
    bundle = await core.policies.pull(caller, have=(2, 1), wait_seconds=0)
    assert bundle is not None
    assert (bundle.generation, bundle.version) == (2, 2)


async def test_a_policy_that_does_not_compile_is_refused_with_its_line(core: Core, caller: NodeCaller) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        await core.policies.upload("north", BROKEN_POLICY, actor="test")
    assert [one["line"] for one in caught.value.diagnostics if one["severity"] == "error"] == [6]


@pytest.mark.parametrize("document", [b"\xff\xfe", b"", b"- just\n- a list\n", b"skerry: 1\n" * 200_000])
async def test_whatever_bytes_come_the_answer_is_an_invalid_policy(
    core: Core, caller: NodeCaller, document: bytes
) -> None:
    with pytest.raises(InvalidPolicy):
        await core.policies.upload("north", document, actor="test")


async def test_unknown_sites_and_versions_are_named_as_such(core: Core, caller: NodeCaller) -> None:
    with pytest.raises(UnknownSite):
        await core.policies.upload("nowhere", GOOD_POLICY, actor="test")
    with pytest.raises(UnknownPolicyVersion):
        await core.policies.publish("north", 7, actor="test")


async def test_a_long_poll_ends_when_something_is_published_here(core: Core, caller: NodeCaller) -> None:
    waiting = asyncio.create_task(core.policies.pull(caller, have=(0, 0), wait_seconds=20))
    await asyncio.sleep(0.05)
    await upload(core)
    bundle = await asyncio.wait_for(waiting, 5)
    assert bundle is not None
    assert bundle.version == 1


async def test_a_long_poll_ends_when_another_replica_published(core: Core, caller: NodeCaller, keys: MeshKeys) -> None:
    await upload(core, publish=False)
    waiting = asyncio.create_task(core.policies.pull(caller, have=(0, 0), wait_seconds=20))
    following = asyncio.create_task(core.board.follow(core.policies.places))
    replica = build_core(core.database, keys, Endpoints(https="x:1", grpc="x:2"), core.clock)
    await replica.policies.publish("north", 1, actor="test")
    bundle = await asyncio.wait_for(waiting, 5)
    following.cancel()
    assert bundle is not None
    assert bundle.version == 1


async def test_a_long_poll_without_news_ends_in_time(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    assert await core.policies.pull(caller, have=(1, 1), wait_seconds=0.05) is None


async def test_a_node_that_is_further_than_a_restored_centre_is_left_alone(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    assert await core.policies.pull(caller, have=(1, 9), wait_seconds=0) is None


async def test_after_a_restore_the_next_publication_passes_what_nodes_run(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    await say(core, caller, of_policies(active=(3, 9)))
    assert (await core.policies.publish("north", 1, actor="test")).generation == 4
    assert await core.policies.pull(caller, have=(3, 9), wait_seconds=0) is not None


async def test_a_rejected_version_is_shown_and_not_offered_to_the_waiting_node_again(
    core: Core, caller: NodeCaller
) -> None:
    await upload(core)
    await upload(core)
    await say(core, caller, of_policies(active=(1, 1), attempt=(1, 2), state="rejected", error="line 4: no such peer"))
    newest, oldest = await core.policies.page("north", before=None, limit=10)
    assert [(one.state, one.error) for one in newest.answers] == [("rejected", "line 4: no such peer")]
    assert [one.state for one in oldest.answers] == ["applied"]
    assert await core.policies.pull(caller, have=(1, 1), wait_seconds=0.05) is None
    assert await core.policies.pull(caller, have=(1, 1), wait_seconds=0) is not None  # asked plainly, it is given
    await upload(core)
    later = await core.policies.pull(caller, have=(1, 1), wait_seconds=0.05)
    assert later is not None
    assert later.version == 3


async def test_publishing_again_offers_what_a_node_has_rejected(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    await say(core, caller, of_policies(active=(0, 0), attempt=(1, 1), state="rejected", error="the disk was full"))
    waiting = asyncio.create_task(core.policies.pull(caller, have=(0, 0), wait_seconds=20))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert (await core.policies.publish("north", 1, actor="test")).generation == 1
    bundle = await asyncio.wait_for(waiting, 5)
    assert bundle is not None


async def test_a_policy_that_could_not_be_applied_yet_is_offered_again(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    await say(core, caller, of_policies(active=(0, 0), attempt=(1, 1), state="applying", error="MemoryError"))
    assert await core.policies.pull(caller, have=(0, 0), wait_seconds=0.05) is not None


async def test_after_a_restore_a_new_text_never_takes_the_place_of_one_that_nodes_run(
    core: Core, caller: NodeCaller
) -> None:
    await upload(core)
    await say(core, caller, of_policies(active=(1, 2)))
    await upload(core)
    bundle = await core.policies.pull(caller, have=(1, 2), wait_seconds=0)
    assert bundle is not None
    assert (bundle.generation, bundle.version) == (2, 2)


async def test_another_text_at_the_wanted_place_is_offered_the_wanted_one_and_never_shown_as_applied(
    core: Core, caller: NodeCaller
) -> None:
    await upload(core)
    other, same = hashlib.sha256(b"lost").digest(), hashlib.sha256(GOOD_POLICY).digest()
    assert await core.policies.pull(caller, have=(1, 1), have_sha256=same, wait_seconds=0) is None
    assert await core.policies.pull(caller, have=(1, 1), have_sha256=other, wait_seconds=0.05) is not None
    shown = []
    for sha256 in (same, other):
        await say(core, caller, replace(of_policies(active=(1, 1)), active_sha256=sha256))
        [site] = await core.provisions.get(FleetService).page(after="", limit=9)
        shown.append(fleet_site(site, core.clock()).nodes[0].policy_state)
    assert shown == ["applied", "pending"]


async def test_a_policy_on_probation_is_shown_as_pending_until_the_node_says_that_it_is_healthy(
    core: Core, caller: NodeCaller
) -> None:
    await upload(core)
    same, shown = hashlib.sha256(GOOD_POLICY).digest(), []
    for state in ("applying", "applied"):
        said = of_policies(active=(1, 1), attempt=(1, 1), state=state)
        await say(core, caller, replace(said, active_sha256=same))
        [site] = await core.provisions.get(FleetService).page(after="", limit=9)
        shown.append(fleet_site(site, core.clock()).nodes[0].policy_state)
    assert shown == ["pending", "applied"]


async def test_what_is_published_while_a_poll_looks_ends_its_wait(
    core: Core, caller: NodeCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(core, publish=False)
    handing_out = core.policies.handing_out
    look = handing_out._offer

    async def look_and_publish(*args: Any, **options: Any) -> Any:
        seen = await look(*args, **options)
        monkeypatch.undo()
        await core.policies.publish("north", 1, actor="test")
        return seen

    monkeypatch.setattr(handing_out, "_offer", look_and_publish)
    bundle = await asyncio.wait_for(core.policies.pull(caller, have=(0, 0), wait_seconds=20), 5)
    assert bundle is not None


async def test_two_boxes_with_one_identity_are_seen_and_audited_once(
    core: Core, caller: NodeCaller, clock: FakeClock
) -> None:
    said = []
    for boot_id in "ABABAB":
        clock.advance(timedelta(seconds=40))
        said.append(await say(core, caller, of_policies(active=(0, 0), boot_id=boot_id)))
    assert said == [False, False, True, True, True, True]
    assert (await core.nodes.get("n1")).clone_suspected
    trail = await core.provisions.get(AuditService).page(before=None, limit=100)
    assert [one.action for one in trail].count("node.clone_suspected") == 1


async def test_reports_that_come_at_once_do_not_fail_each_other(core: Core, caller: NodeCaller) -> None:
    await upload(core)
    await asyncio.gather(*(say(core, caller, of_policies(active=(1, 1))) for _ in range(6)))
    assert [len(one.answers) for one in await core.policies.page("north", before=None, limit=9)] == [1]


async def test_a_box_that_restarts_is_no_clone(core: Core, caller: NodeCaller, clock: FakeClock) -> None:
    for boot_id in "ABCDEFGHIJKL":
        clock.advance(timedelta(seconds=20))
        assert not await say(core, caller, of_policies(active=(0, 0), boot_id=boot_id))


async def test_publishing_what_shows_the_centre_more_than_before_is_warned_of(core: Core, caller: NodeCaller) -> None:
    narrow = GOOD_POLICY + b"privacy: {share: [StudyInstanceUID], pseudonymise: [PatientID]}\n"
    first = await core.policies.upload("north", narrow, actor="test")
    assert (await core.policies.publish("north", first.version, actor="test")).warnings == ()
    second = await core.policies.upload("north", GOOD_POLICY, actor="test")
    (warning,) = (await core.policies.publish("north", second.version, actor="test")).warnings
    assert "PatientID" in warning.message
    assert (await core.policies.publish("north", second.version, actor="test")).warnings == ()
    assert (await core.policies.publish("north", first.version, actor="test")).warnings == ()
