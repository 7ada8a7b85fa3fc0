"""The live feed: lines that writers append inside their own transaction, and readers that can resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.db.session import Database
from control.live import repository
from control.live.news import News
from control.principals import Scope

KEPT_FOR = timedelta(hours=24)
"""The feed is for screens. What happened is in the tables of studies and deliveries for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """One line of the feed."""

    sequence: int
    at: datetime
    kind: str
    body: Mapping[str, Any]

    def is_for(self, scope: Scope) -> bool:
        """Whether a watcher with this scope may see it. What names no site is for those who see every site."""
        return scope is None or self.body.get("site") in scope


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Lines behind a sequence. `gap`: some between are gone, so what a screen shows must be fetched again."""

    lines: Sequence[FeedLine]
    newest: int
    gap: bool


async def record(session: AsyncSession, news: Sequence[News], now: datetime) -> None:
    """Append lines, seen by readers when the caller commits. Make it the last statement of the transaction:

    every other writer of the feed waits from here to the commit.
    """
    if news:
        await repository.append(session, news, now)


class FeedService:
    """Reads the feed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def newest(self) -> int:
        """The sequence that a reader who is up to date has."""
        async with self._database.snapshot() as session:
            return await repository.newest(session)

    async def read_after(self, sequence: int, limit: int = 500, *, scope: Scope = None) -> FeedPage:
        """The lines of the scope behind `sequence`.

        A sequence from a future that a restored database never saw is a gap.
        """
        async with self._database.snapshot() as session:
            rows = await repository.after(session, sequence, limit, scope)
            newest = await repository.newest(session)
            oldest = await repository.oldest_kept(session)
        first_kept = newest + 1 if oldest is None else oldest
        return FeedPage(
            lines=[FeedLine(sequence=row.sequence, at=row.at, kind=row.kind, body=row.body) for row in rows],
            newest=newest,
            gap=sequence > newest or sequence + 1 < first_kept,
        )

    async def forget_old(self) -> None:
        """Remove the lines that no screen asks for any more."""
        async with self._database.transaction() as session:
            await repository.forget(session, self._clock() - KEPT_FOR)
