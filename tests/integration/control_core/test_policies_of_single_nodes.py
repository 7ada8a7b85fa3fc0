"""A node runs what it was given of its own, else what its site runs; a thousand that ask at once cost one reading."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from control.enrolment.ca_files import MeshKeys
from control.enrolment.service import Endpoints
from control.nodes.reports import NodeCaller
from control.nodes.service import NewNode
from control.overview.schemas import fleet_site
from control.overview.service import FleetService
from control.policies.board import Place
from control.policies.wire import bundle_message
from control.policy_errors import PolicyHeld
from control.services import Core, build_core
from tests.control_fixtures import GOOD_POLICY, FakeClock
from tests.status_reports import of_policies, say

OTHER_POLICY = GOOD_POLICY.replace(b"everything", b"all")


@pytest.fixture
async def callers(core: Core) -> Sequence[NodeCaller]:
    """Two nodes of one site, which runs version 1; version 2 is there."""
    site = await core.sites.add("north", actor="test")
    async with core.database.transaction() as tx:
        for name in ("n1", "n2"):
            node = NewNode(id=name, name=name, key_fingerprint="f" * 64, certificate_ends=core.clock())
            await core.nodes.admit(tx, site, node, actor="test")
    for document in (GOOD_POLICY, OTHER_POLICY):
        await core.policies.upload("north", document, actor="test")
    await core.policies.publish("north", 1, actor="test")
    return [await core.nodes.recognise(name, "north") for name in ("n1", "n2")]


async def assign(core: Core, version: int, *nodes: str, place: Place | None = None, tell: bool = True) -> Place:
    assigning = core.policies.assigning
    async with core.database.transaction() as tx:
        site = await core.sites.require(tx, "north", lock=True)
        row = await core.policies.revision(tx, site.id, version)
        place = place or await assigning.next(tx, site.id, version)
        await assigning.assign(tx, site, row, place, nodes, by="test", at=core.clock())
    if tell:
        await assigning.tell()
    return place


async def pulled(core: Core, caller: NodeCaller, have: Place = (0, 0)) -> Place | None:
    bundle = await core.policies.pull(caller, have=have, wait_seconds=0)
    return (bundle.generation, bundle.version) if bundle is not None else None


async def test_one_node_is_given_another_version_and_the_others_keep_the_sites(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    assert await assign(core, 2, "n1") == (1, 2)
    assert [await pulled(core, one) for one in callers] == [(1, 2), (1, 1)]
    bundle = await core.policies.pull(callers[0], have=(1, 1), wait_seconds=0)
    assert bundle is not None
    assert bundle.document == OTHER_POLICY


async def test_an_older_version_is_given_back_with_a_higher_generation(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    await assign(core, 2, "n1")
    assert await assign(core, 1, "n1") == (2, 1)
    assert await pulled(core, callers[0], (1, 2)) == (2, 1)
    assert await pulled(core, callers[1], (1, 1)) is None


async def test_publishing_gives_the_whole_site_one_policy_behind_all_that_its_nodes_were_given(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    await assign(core, 2, "n1")
    await assign(core, 1, "n1")
    await core.policies.publish("north", 2, actor="test")
    assert [await pulled(core, one, (2, 1)) for one in callers] == [(3, 2), (3, 2)]


async def test_only_the_node_that_was_given_something_stops_waiting(core: Core, callers: Sequence[NodeCaller]) -> None:
    waiting = [asyncio.create_task(core.policies.pull(one, have=(1, 1), wait_seconds=20)) for one in callers]
    await asyncio.sleep(0.1)
    await assign(core, 2, "n1")
    assert await asyncio.wait_for(waiting[0], 5) is not None
    assert not waiting[1].done()
    waiting[1].cancel()


async def test_what_another_replica_assigned_ends_the_wait(
    core: Core, callers: Sequence[NodeCaller], keys: MeshKeys
) -> None:
    replica = build_core(core.database, keys, Endpoints(https="x:1", grpc="x:2"), core.clock)
    following = asyncio.create_task(replica.board.follow(replica.policies.places))
    waiting = asyncio.create_task(replica.policies.pull(callers[0], have=(1, 1), wait_seconds=20))
    await asyncio.sleep(0.1)
    await assign(core, 2, "n1")
    bundle = await asyncio.wait_for(waiting, 5)
    following.cancel()
    assert bundle is not None
    assert bundle.version == 2


async def test_a_site_that_a_roll_out_holds_is_published_to_by_nobody_else(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    async with core.database.transaction() as tx:
        site = await core.sites.require(tx, "north", lock=True)
        await core.policies.assigning.hold(tx, site.id, "r1")
    with pytest.raises(PolicyHeld, match="r1"):
        await core.policies.publish("north", 2, actor="test")
    async with core.database.transaction() as tx:
        await core.policies.assigning.release(tx, "r1")
    await core.policies.publish("north", 2, actor="test")


async def test_the_fleet_shows_how_a_node_stands_to_what_it_was_given(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    await assign(core, 2, "n1")
    [site] = await core.provisions.get(FleetService).page(after="", limit=9)
    assert {node: place.version for node, (place, _) in site.assigned.items()} == {"n1": 2}
    assert [one.policy_state for one in fleet_site(site, core.clock()).nodes] == ["unknown", "unknown"]


async def test_a_thousand_who_ask_at_once_cost_a_handful_of_readings(core: Core, callers: Sequence[NodeCaller]) -> None:
    following = asyncio.create_task(core.board.follow(core.policies.places))
    await asyncio.sleep(0.5)
    assert core.board.is_fresh()
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "policy_revision" in statement or "policy_answer" in statement:
            asked.append(statement)

    event.listen(core.database.engine.sync_engine, "before_cursor_execute", note)
    waiting = [asyncio.create_task(core.policies.pull(callers[0], have=(1, 1), wait_seconds=20)) for _ in range(1000)]
    await asyncio.sleep(0.3)
    await core.policies.publish("north", 2, actor="test")
    begun = len(asked)
    bundles = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    following.cancel()
    assert {one.version for one in bundles if one is not None} == {2}
    assert None not in bundles
    assert len(asked) - begun <= 6


async def test_what_is_published_anew_is_a_later_offer_and_older_refusals_of_it_count_no_more(
    core: Core, callers: Sequence[NodeCaller], clock: FakeClock
) -> None:
    node = callers[0]

    async def refuse(offer: int) -> list[str]:
        said = replace(of_policies(active=(0, 0), attempt=(1, 1), state="rejected", error="no"), attempt_offer=offer)
        await say(core, node, said)
        return [one.state for one in (await core.policies.page("north", before=2, limit=1))[0].answers]

    first = await core.policies.pull(node, have=(0, 0), wait_seconds=0)
    assert first is not None
    assert await refuse(first.offer) == ["rejected"]
    clock.advance(timedelta(seconds=5))
    await core.policies.publish("north", 1, actor="test")
    again = await core.policies.pull(node, have=(0, 0), wait_seconds=0.05)
    assert again is not None
    assert again.offer > first.offer
    assert bundle_message(again).offer == again.offer
    assert await refuse(first.offer) == []
    assert await refuse(again.offer) == ["rejected"]
