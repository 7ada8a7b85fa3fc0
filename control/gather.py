"""Group commit: what many ask for at the same moment is done together, and each gets its own answer.

One group is under way at a time; what comes meanwhile is the next one. A quiet process answers at once, a storm pays
for a transaction once in some hundred calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

from control.db.outage import DATABASE_OUTAGES
from control.errors import Busy, DatabaseAway

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

PAUSE_SECONDS = 0.05


class Gatherer(Generic[Asked, Answer]):
    """Of one event loop."""

    def __init__(
        self,
        together: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        *,
        most_together: int,
        most_waiting: int,
    ) -> None:
        """`together` does a group, all or nothing, and gives the answers in the same order."""
        self._together = together
        self._most_together, self._most_waiting = most_together, most_waiting
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """The answer, when its group is done. Who goes away meanwhile takes nothing back.

        Raises:
            Busy: too many wait already.
            DatabaseAway: the database went away; whether it was done is open.
        """
        if len(self._waiting) >= self._most_waiting:
            raise Busy("Many nodes speak at once.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most_together))]
                # Who went away while it waited need not be served.
                await self._settle([one for one in group if not one[1].done()])
        finally:
            for _, answer in self._waiting:  # only when it was cancelled: the process ends
                answer.cancel()
            self._waiting.clear()

    async def _settle(self, group: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        if not group:
            return
        try:
            answers = await self._twice([asked for asked, _ in group])
        except DATABASE_OUTAGES:
            for _, answer in group:
                _refuse(answer, DatabaseAway())
        except Exception as error:
            if len(group) == 1:
                _refuse(group[0][1], error)
            for one in group if len(group) > 1 else ():
                await self._settle([one])  # one that cannot be done must not take the others with it
        else:
            for (_, future), given in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(given)

    async def _twice(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """A deadlock, or a connection that a restart of the database left behind, is gone the second time."""
        try:
            return await self._together(asked)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(PAUSE_SECONDS)
            return await self._together(asked)


def _refuse(answer: asyncio.Future[Answer], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
