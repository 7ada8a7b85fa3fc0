"""Batches that wait to be committed, taken in groups: what a transaction costs is paid once for all of a group.

What nodes send as it happens goes in one lane, what they catch up with after an outage in another: ten thousand old
events never stand before a new one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from control.errors import Busy, DatabaseAway
from control.inbox.batch import Batch

Apply = Callable[[Sequence[Batch]], Awaitable[Sequence[int]]]
"""Commits a group, all or nothing, and gives the ack of each."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: Batch
    answer: asyncio.Future[int]


class Lane:
    """Takes batches one by one and commits them in groups, the oldest first. Of one event loop."""

    def __init__(self, apply: Apply, *, at_once: int, group_events: int, most_waiting: int) -> None:
        """`at_once` transactions, each of about `group_events` events; `most_waiting` events wait before them."""
        self._apply = apply
        self._at_once = at_once
        self._group_events = group_events
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiting] = deque()
        self._events_waiting = 0
        self._under_way: set[tuple[str, str]] = set()
        self._workers: set[asyncio.Task[None]] = set()

    async def commit(self, batch: Batch) -> int:
        """The ack of a batch, when it is committed.

        Raises:
            Busy: too many wait already.
            DatabaseAway: whether it was applied is open.
        """
        if self._events_waiting > self._most_waiting:
            raise Busy("Many nodes are catching up at once.")
        one = _Waiting(batch, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._events_waiting += len(batch.events)
        self._start_worker()
        return await one.answer

    def _start_worker(self) -> None:
        if len(self._workers) < self._at_once:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while group := self._next_group():
            keys = {(one.batch.sender.node_id, one.batch.epoch) for one in group}
            self._under_way |= keys
            try:
                await self._settle(group)
            finally:
                self._under_way -= keys

    def _next_group(self) -> Sequence[_Waiting]:
        """The oldest batches, at most one of each cursor, and none of a cursor that is being moved."""
        group: list[_Waiting] = []
        left: list[_Waiting] = []
        taken = set(self._under_way)
        events = 0
        while self._waiting and events < self._group_events:
            one = self._waiting.popleft()
            key = (one.batch.sender.node_id, one.batch.epoch)
            if key in taken:
                left.append(one)
                continue
            taken.add(key)
            group.append(one)
            events += len(one.batch.events)
        self._waiting.extendleft(reversed(left))
        self._events_waiting -= events
        return group

    async def _settle(self, group: Sequence[_Waiting]) -> None:
        try:
            acks = await self._apply([one.batch for one in group])
        except DatabaseAway:
            for one in group:
                _refuse(one, DatabaseAway())
        except Exception as error:
            if len(group) == 1:
                _refuse(group[0], error)
            for one in group if len(group) > 1 else ():
                await self._settle([one])  # one that cannot be committed must not take the others with it
        else:
            for one, ack in zip(group, acks, strict=True):
                if not one.answer.done():
                    one.answer.set_result(ack)


def _refuse(one: _Waiting, error: Exception) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)
