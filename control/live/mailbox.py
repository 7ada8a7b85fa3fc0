"""What waits for one watcher: bounded, and honest about what did not fit."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from control.live.service import FeedLine

CAPACITY = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Refetch:
    """Lines are missing: what the watcher shows must be fetched again. It is up to date with `sequence` then."""

    sequence: int


class Mailbox:
    """Lines in order. One that overflows is emptied: half a story would be taken for the whole one."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._waiting: deque[FeedLine] = deque()
        self._capacity = capacity
        self._refetch: Refetch | None = None
        self._filled = asyncio.Event()

    def put(self, line: FeedLine) -> None:
        """Add a line, or give up those that wait. Never blocks: one slow watcher holds nobody up."""
        if self._refetch is not None:
            self._refetch = Refetch(sequence=line.sequence)
        elif len(self._waiting) >= self._capacity:
            self.give_up(line.sequence)
        else:
            self._waiting.append(line)
        self._filled.set()

    def give_up(self, sequence: int) -> None:
        """Tell the watcher to fetch again instead of what waits."""
        self._waiting.clear()
        self._refetch = Refetch(sequence=sequence)
        self._filled.set()

    async def get(self) -> FeedLine | Refetch:
        """The next thing to tell; waits for it."""
        await self._filled.wait()
        if self._refetch is not None:
            told: FeedLine | Refetch = self._refetch
            self._refetch = None
        else:
            told = self._waiting.popleft()
        if not self._waiting and self._refetch is None:
            self._filled.clear()
        return told
