"""Commands: asked once, handed out until their end is told, and never to another node."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from control.audit.service import AuditService
from control.errors import InvalidCommand, NodeRevoked, UnknownCommand, UnknownNode
from control.node_commands.service import CommandFacts
from control.node_commands.states import CommandState, Word
from control.nodes.reports import NodeCaller
from control.nodes.service import NewNode
from control.services import Core
from tests.control_fixtures import FakeClock

NODE, OTHER = "a" * 32, "b" * 32


@pytest.fixture
async def caller(core: Core) -> NodeCaller:
    site = await core.sites.add("north", actor="test")
    for node_id, name in ((NODE, "one"), (OTHER, "two")):
        new = NewNode(id=node_id, name=name, key_fingerprint=name, certificate_ends=core.clock())
        async with core.database.transaction() as tx:
            await core.nodes.admit(tx, site, new, actor="test")
    return await core.nodes.recognise(NODE, "north")


async def ask(core: Core, node_id: str = NODE, seconds: int = 60) -> CommandFacts:
    return await core.commands.ask(node_id, "release", {"all": "true"}, seconds=seconds, actor="user:eve")


async def tell(
    core: Core, caller: NodeCaller, one: CommandFacts, word: Word, text: str = "", result: bytes = b""
) -> None:
    await core.commands.hear(caller, one.id, word, text=text, result=result)


async def test_a_command_goes_its_way(core: Core, caller: NodeCaller) -> None:
    one = await ask(core)
    assert core.commands.waits_for(caller)
    assert [got.id for got in await core.commands.hand_out(caller)] == [one.id]
    await tell(core, caller, one, Word.ACCEPTED)
    assert (await core.commands.get(one.id)).state is CommandState.ACCEPTED
    await tell(core, caller, one, Word.DONE, "3 deliveries due again.", b'{"done": 3}')
    end = await core.commands.get(one.id)
    assert (end.state, end.text, end.result) == (CommandState.DONE, "3 deliveries due again.", {"done": 3})
    assert await core.commands.hand_out(caller) == []


async def test_what_a_node_repeats_changes_nothing(core: Core, caller: NodeCaller) -> None:
    one = await ask(core)
    await tell(core, caller, one, Word.FAILED, "no")
    await tell(core, caller, one, Word.DONE, "yes")
    await tell(core, caller, one, Word.ACCEPTED)
    assert (await core.commands.get(one.id)).text == "no"


async def test_a_node_sees_and_changes_no_command_of_another(core: Core, caller: NodeCaller) -> None:
    theirs = await ask(core, OTHER)
    assert await core.commands.hand_out(caller) == []
    assert not core.commands.waits_for(caller)
    with pytest.raises(UnknownCommand):
        await tell(core, caller, theirs, Word.DONE)


async def test_what_nobody_took_in_time_expires_and_is_not_handed_out(
    core: Core, caller: NodeCaller, clock: FakeClock
) -> None:
    one = await ask(core, seconds=60)
    clock.advance(timedelta(seconds=61))
    assert await core.commands.hand_out(caller) == []
    core.command_board.post(await core.commands.waiting())
    assert (await core.commands.get(one.id)).state is CommandState.EXPIRED
    assert not core.commands.waits_for(caller)
    await tell(core, caller, one, Word.DONE, "It was done all the same.")
    assert (await core.commands.get(one.id)).state is CommandState.DONE


async def test_the_oldest_comes_first_and_the_list_from_the_newest_back_in_pages(
    core: Core, caller: NodeCaller, clock: FakeClock
) -> None:
    asked = []
    for _ in range(5):
        asked.append((await ask(core)).id)
        clock.advance(timedelta(seconds=1))
    assert [one.id for one in await core.commands.hand_out(caller)] == asked
    seen: list[str] = []
    before = None
    while True:
        page = await core.commands.page(scope=None, site=None, node_id=None, state=None, before=before, limit=2)
        if not page:
            break
        seen += [one.id for one in page]
        before = (page[-1].asked_at, page[-1].id)
    assert seen == asked[::-1]


async def test_a_list_holds_what_the_reader_may_see(core: Core, caller: NodeCaller) -> None:
    await ask(core)
    here = await core.commands.page(
        scope=frozenset({"north"}), site=None, node_id=NODE, state=CommandState.REQUESTED, before=None, limit=9
    )
    there = await core.commands.page(
        scope=frozenset({"south"}), site=None, node_id=None, state=None, before=None, limit=9
    )
    assert (len(here), len(there)) == (1, 0)


async def test_a_node_that_is_unknown_or_revoked_is_asked_nothing(core: Core, caller: NodeCaller) -> None:
    with pytest.raises(UnknownNode):
        await ask(core, "c" * 32)
    await core.nodes.revoke(NODE, actor="test")
    with pytest.raises(NodeRevoked):
        await ask(core)


@pytest.mark.parametrize("result", [b"[1]", b"{", b"\xff", b'"' + b"x" * (600 << 10) + b'"', b"[" * 100_000])
async def test_a_result_that_is_no_object_is_refused(core: Core, caller: NodeCaller, result: bytes) -> None:
    one = await ask(core)
    with pytest.raises(InvalidCommand):
        await tell(core, caller, one, Word.DONE, result=result)


async def test_nul_in_what_a_node_says_is_taken_out(core: Core, caller: NodeCaller) -> None:
    one = await ask(core)
    await tell(core, caller, one, Word.DONE, "a\0b", b'{"a": "x\\u0000y"}')
    end = await core.commands.get(one.id)
    assert (end.text, end.result) == ("ab", {"a": "xy"})


async def test_the_trail_says_who_asked_what_and_nothing_that_names_an_image(core: Core, caller: NodeCaller) -> None:
    await core.commands.ask(NODE, "hold", {"uid": "1.2.3", "reason": "Anna"}, seconds=60, actor="user:eve")
    (row,) = [
        one for one in await core.provisions.get(AuditService).page(before=None, limit=9) if one.action == "command.ask"
    ]
    assert (row.actor, row.site) == ("user:eve", "north")
    assert "1.2.3" not in str(row.after)
    assert "Anna" not in str(row.after)


async def test_many_who_ask_at_once_are_all_heard(core: Core, caller: NodeCaller) -> None:
    asked = await asyncio.gather(*(ask(core) for _ in range(10)))
    assert {one.id for one in await core.commands.hand_out(caller)} == {one.id for one in asked}
