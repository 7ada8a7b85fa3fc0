"""Batches are committed in groups: the oldest first, one of each cursor at a time, and none takes others with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from control.errors import Busy, DatabaseAway, InvalidEvent
from control.inbox.batch import Batch, Sender, read_batch
from control.inbox.lanes import Lane
from tests.mesh_events import batch, received


def made(node: str, first: int, last: int, *, epoch: int = 1) -> Batch:
    events = [received(number) for number in range(first, last + 1)]
    return read_batch(Sender(node_id=node, site="north"), batch(events, epoch=epoch))


class Ledger:
    """Stands for the database: notes each group, and lets the test hold it up or fail it."""

    def __init__(self) -> None:
        self.groups: list[list[tuple[str, int]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.at_once = 0
        self.most_at_once = 0

    async def apply(self, batches: Sequence[Batch]) -> Sequence[int]:
        self.groups.append([(one.sender.node_id, len(one.events)) for one in batches])
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        for one in batches:
            if one.sender.node_id == "bad":
                raise InvalidEvent(1, "it cannot be kept")
            if one.sender.node_id == "away":
                raise DatabaseAway
        return [one.events[-1].sequence for one in batches]


def lane(ledger: Ledger, *, at_once: int = 1, group_events: int = 100, most_waiting: int = 1000) -> Lane:
    return Lane(ledger.apply, at_once=at_once, group_events=group_events, most_waiting=most_waiting)


async def test_what_waits_is_committed_together_and_each_gets_its_own_ack() -> None:
    ledger = Ledger()
    ledger.open.clear()
    tested = lane(ledger)
    tasks = [asyncio.create_task(tested.commit(made(f"n{number}", 1, number + 1))) for number in range(6)]
    await asyncio.sleep(0.01)
    ledger.open.set()
    assert await asyncio.gather(*tasks) == [1, 2, 3, 4, 5, 6]
    assert len(ledger.groups) == 1 or [len(group) for group in ledger.groups] == [1, 5]


async def test_a_group_ends_where_it_is_big_enough_and_the_oldest_go_first() -> None:
    ledger = Ledger()
    tested = lane(ledger, group_events=20)
    await asyncio.gather(*(tested.commit(made(f"n{number}", 1, 10)) for number in range(5)))
    assert [node for group in ledger.groups for node, _ in group] == [f"n{number}" for number in range(5)]
    assert all(sum(events for _, events in group) <= 20 for group in ledger.groups)


async def test_two_batches_of_one_cursor_are_never_in_one_group_nor_at_once() -> None:
    ledger = Ledger()
    tested = lane(ledger, at_once=3)
    acks = await asyncio.gather(*(tested.commit(made("n1", first, first + 4)) for first in (1, 6, 11)))
    assert acks == [5, 10, 15]
    assert ledger.groups == [[("n1", 5)]] * 3
    assert ledger.most_at_once == 1


async def test_no_more_transactions_than_asked_for_are_under_way() -> None:
    ledger = Ledger()
    tested = lane(ledger, at_once=2, group_events=1)
    await asyncio.gather(*(tested.commit(made(f"n{number}", 1, 2)) for number in range(10)))
    assert ledger.most_at_once == 2


async def test_a_batch_that_cannot_be_kept_takes_no_other_with_it() -> None:
    ledger = Ledger()
    tested = lane(ledger)
    found = await asyncio.gather(
        *(tested.commit(made(node, 1, 3)) for node in ("n1", "bad", "n2")), return_exceptions=True
    )
    assert [found[0], found[2]] == [3, 3]
    assert isinstance(found[1], InvalidEvent)


async def test_a_database_that_is_away_is_told_to_all_of_the_group() -> None:
    tested = lane(Ledger())
    found = await asyncio.gather(*(tested.commit(made(node, 1, 3)) for node in ("n1", "away")), return_exceptions=True)
    assert [type(one) for one in found] == [DatabaseAway, DatabaseAway]


async def test_a_caller_who_goes_away_holds_up_nobody() -> None:
    ledger = Ledger()
    ledger.open.clear()
    tested = lane(ledger)
    gone = asyncio.create_task(tested.commit(made("n1", 1, 3)))
    stays = asyncio.create_task(tested.commit(made("n2", 1, 3)))
    await asyncio.sleep(0.01)
    gone.cancel()
    ledger.open.set()
    assert await stays == 3
    assert await tested.commit(made("n3", 1, 2)) == 2


async def test_too_many_that_wait_are_asked_to_come_back() -> None:
    ledger = Ledger()
    ledger.open.clear()
    tested = lane(ledger, most_waiting=5, group_events=1)
    waiting = []
    for node in ("n1", "n2"):  # the first is under way, the second waits
        waiting.append(asyncio.create_task(tested.commit(made(node, 1, 8))))
        await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await asyncio.wait_for(tested.commit(made("late", 1, 1)), 5)
    ledger.open.set()
    assert await asyncio.gather(*waiting) == [8, 8]
    assert await tested.commit(made("late", 1, 1)) == 1
