"""Group commit: what is asked for at the same moment is done together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from control.errors import Busy, DatabaseAway, NotFound
from control.gather import Gatherer


class Doubling:
    """Doubles numbers; fails as it is told to."""

    def __init__(self) -> None:
        self.groups: list[Sequence[int]] = []
        self.outages = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        """Give twice of each."""
        self.groups.append(numbers)
        await self.hold.wait()
        if self.outages:
            self.outages -= 1
            raise OperationalError("", None, Exception())
        if 13 in numbers:
            raise NotFound("13")
        return [2 * number for number in numbers]


def gatherer(doubling: Doubling, *, most_waiting: int = 100) -> Gatherer[int, int]:
    return Gatherer(doubling, most_together=4, most_waiting=most_waiting)


async def test_what_comes_while_a_group_is_under_way_is_the_next_group() -> None:
    doubling = Doubling()
    gathers = gatherer(doubling)
    assert await asyncio.gather(*(gathers.ask(number) for number in range(10))) == [2 * n for n in range(10)]
    assert [len(group) for group in doubling.groups] == [4, 4, 2]
    assert await gathers.ask(5) == 10


async def test_one_that_cannot_be_done_does_not_take_the_others_with_it() -> None:
    gathers = gatherer(Doubling())
    answers = await asyncio.gather(*(gathers.ask(number) for number in (1, 13, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (2, 6)
    assert isinstance(answers[1], NotFound)


async def test_a_deadlock_is_tried_again_and_an_outage_is_told_to_all() -> None:
    doubling = Doubling()
    gathers = gatherer(doubling)
    doubling.outages = 1
    assert await gathers.ask(1) == 2
    doubling.outages = 2
    answers = await asyncio.gather(*(gathers.ask(number) for number in (1, 2)), return_exceptions=True)
    assert [type(one) for one in answers] == [DatabaseAway, DatabaseAway]
    assert await gathers.ask(3) == 6


async def test_when_too_many_wait_the_next_is_turned_away_and_the_others_are_served() -> None:
    doubling = Doubling()
    doubling.hold.clear()
    gathers = gatherer(doubling, most_waiting=3)
    first = asyncio.create_task(gathers.ask(0))
    await asyncio.sleep(0.01)  # its group is under way
    waiting = [asyncio.create_task(gathers.ask(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0.01)
    with pytest.raises(Busy):
        await gathers.ask(4)
    doubling.hold.set()
    assert [await one for one in (first, *waiting)] == [0, 2, 4, 6]


async def test_who_goes_away_while_it_waits_is_not_served() -> None:
    doubling = Doubling()
    doubling.hold.clear()
    gathers = gatherer(doubling)
    first = asyncio.create_task(gathers.ask(0))
    await asyncio.sleep(0.01)
    gone, stays = asyncio.create_task(gathers.ask(1)), asyncio.create_task(gathers.ask(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    doubling.hold.set()
    assert (await first, await stays) == (0, 4)
    assert doubling.groups == [[0], [2]]
