"""Status reports that come at the same moment are kept in one transaction, and each node gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from control.errors import NodeRevoked
from control.nodes.reports import NodeCaller, PolicyPlace
from control.nodes.service import NewNode
from control.services import Core
from control.sync.report_lane import ReportLane
from tests.control_fixtures import GOOD_POLICY
from tests.status_reports import WELL

NODES = 12
PUBLISHED = PolicyPlace(generation=1, version=1)


@pytest.fixture
async def callers(core: Core) -> Sequence[NodeCaller]:
    """Nodes of one site, recognised, whose site has a policy."""
    site = await core.sites.add("north", actor="test")
    async with core.database.transaction() as tx:
        for number in range(NODES):
            node = NewNode(id=f"n{number}", name=f"b{number}", key_fingerprint="", certificate_ends=core.clock())
            await core.nodes.admit(tx, site, node, actor="test")
    version = (await core.policies.upload("north", GOOD_POLICY, actor="test")).version
    await core.policies.publish("north", version, actor="test")
    return await asyncio.gather(*(core.nodes.recognise(f"n{number}", "north") for number in range(NODES)))


def lane(core: Core) -> ReportLane:
    return ReportLane(core.database, core.nodes, core.policies)


async def test_two_replicas_hear_all_nodes_at_once_and_keep_every_word(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    """In opposite orders: neither waits for the other for ever."""
    said = replace(WELL, active=PUBLISHED, attempt=PUBLISHED, attempt_state="applied")
    replicas = lane(core), lane(core)
    for _ in range(5):
        orders = zip(replicas, (callers, callers[::-1]), strict=True)
        words = [replica.keep(caller, said) for replica, order in orders for caller in order]
        assert not any(await asyncio.gather(*words))
    (version,) = await core.policies.page("north", before=None, limit=5)
    assert {one.node_id: one.state for one in version.answers} == {caller.node_id: "applied" for caller in callers}


async def test_two_boxes_of_one_identity_in_one_group_are_seen(core: Core, callers: Sequence[NodeCaller]) -> None:
    reports = lane(core)
    words = [(callers[0], boot) for boot in "aba"] + [(callers[1], boot) for boot in "aab"]
    first = asyncio.create_task(reports.keep(callers[2], WELL))
    cloned = await asyncio.gather(*(reports.keep(caller, replace(WELL, boot_id=boot)) for caller, boot in words))
    assert cloned == [False, False, True, False, False, False]
    assert not await first
    assert (await core.nodes.get("n0")).clone_suspected
    assert not (await core.nodes.get("n1")).clone_suspected


async def test_a_node_revoked_after_it_was_recognised_is_refused_and_the_others_of_its_group_are_kept(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    await core.nodes.revoke("n3", actor="test")
    reports = lane(core)
    answers = await asyncio.gather(*(reports.keep(caller, WELL) for caller in callers), return_exceptions=True)
    assert [index for index, one in enumerate(answers) if isinstance(one, NodeRevoked)] == [3]
    assert (await core.nodes.get("n3")).report is None
    told = [(await core.nodes.get(f"n{number}")).report is not None for number in range(NODES)]
    assert [number for number, said in enumerate(told) if not said] == [3]


async def test_a_revocation_while_a_node_is_looked_up_is_not_forgotten(
    core: Core, callers: Sequence[NodeCaller]
) -> None:
    site = await core.sites.add("south", actor="test")
    async with core.database.transaction() as tx:
        node = NewNode(id="late", name="late", key_fingerprint="", certificate_ends=core.clock())
        await core.nodes.admit(tx, site, node, actor="test")
    looking = asyncio.create_task(core.nodes.recognise("late", "south"))
    await core.nodes.revoke("late", actor="test")
    await asyncio.gather(looking, return_exceptions=True)
    with pytest.raises(NodeRevoked):
        await core.nodes.recognise("late", "south")
