"""A node stands aside only while another of its site takes images, unless a person says that it may."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from control.errors import OnlyNode
from control.node_commands.states import CommandState, Word
from control.nodes.reports import Condition, NodeCaller
from control.nodes.service import NewNode
from control.services import Core
from tests.control_fixtures import FakeClock
from tests.status_reports import WELL, say

NODES = {"a" * 32: "one", "b" * 32: "two"}
ONE, TWO = NODES
DRAINS = Condition(code="draining", severity="medium", text="", hint="")


@pytest.fixture
async def callers(core: Core) -> dict[str, NodeCaller]:
    site = await core.sites.add("north", actor="test")
    for node_id, name in NODES.items():
        new = NewNode(id=node_id, name=name, key_fingerprint=name, certificate_ends=core.clock())
        async with core.database.transaction() as tx:
            await core.nodes.admit(tx, site, new, actor="test")
    return {ONE: await core.nodes.recognise(ONE, "north")}


async def _up(core: Core, node_id: str) -> NodeCaller:
    return await core.nodes.recognise(node_id, "north")


async def _drain(core: Core, node_id: str, **arguments: str) -> str:
    return (await core.commands.ask(node_id, "drain", arguments, seconds=60, actor="user:eve")).id


async def test_the_only_node_that_is_up_is_not_drained_unless_it_is_meant(
    core: Core, callers: dict[str, NodeCaller]
) -> None:
    with pytest.raises(OnlyNode) as refused:
        await _drain(core, ONE)
    assert "north" in str(refused.value)
    assert "--even-alone" in refused.value.hint
    assert await core.commands.hand_out(callers[ONE]) == []
    await _drain(core, ONE, even_alone="true")
    await _drain(core, ONE, dry_run="true")
    await _drain(core, ONE, end="true")


async def test_of_two_nodes_one_may_go_and_then_the_other_may_not(
    core: Core, callers: dict[str, NodeCaller], clock: FakeClock
) -> None:
    two = await _up(core, TWO)
    asked = await _drain(core, ONE)
    with pytest.raises(OnlyNode):
        await _drain(core, TWO)  # what was asked of the other one is not in its report yet
    await core.commands.hear(callers[ONE], asked, Word.FAILED, text="no", result=b"")
    second = await _drain(core, TWO)
    await core.commands.hear(two, second, Word.DONE, text="", result=b"")
    with pytest.raises(OnlyNode):
        await _drain(core, ONE)
    clock.advance(timedelta(seconds=1))
    await _drain(core, TWO, end="true")
    await _drain(core, ONE)


async def test_of_two_people_who_ask_at_the_same_moment_one_is_refused(
    core: Core, callers: dict[str, NodeCaller]
) -> None:
    await _up(core, TWO)
    answers = await asyncio.gather(_drain(core, ONE), _drain(core, TWO), return_exceptions=True)
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [OnlyNode], answers


async def test_a_node_that_says_that_it_drains_does_not_count(
    core: Core, callers: dict[str, NodeCaller], clock: FakeClock
) -> None:
    two = await _up(core, TWO)
    await say(core, two, replace(WELL, conditions=(DRAINS,)))
    with pytest.raises(OnlyNode):
        await _drain(core, ONE)
    await say(core, two, WELL)
    assert (await core.commands.get(await _drain(core, ONE))).state is CommandState.REQUESTED
