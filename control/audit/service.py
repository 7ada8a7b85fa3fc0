"""The audit trail: written in the transaction of the change it tells of, so neither exists without the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from control.audit import repository
from control.audit.chain import GENESIS, AuditEntry, Summary, first_break, hash_of, site_of
from control.audit.query import EVERYTHING, AuditQuery
from control.clock import Clock
from control.db.session import Database

CHECK_PAGE = 1000


class AuditService:
    """Write and read the trail."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(
        self,
        tx: AsyncSession,
        *,
        actor: str,
        action: str,
        object: str,  # noqa: A002 - the word of the trail
        before: Summary | None = None,
        after: Summary | None = None,
    ) -> None:
        """Add a row to the trail; a fact called `site` shows it to the auditors of that site.

        Let it be the last thing in the transaction: it holds the end of the chain.
        """
        head = await repository.lock_head(tx)
        entry = AuditEntry(
            sequence=head.sequence + 1,
            at=self._clock(),
            actor=actor,
            action=action,
            object=object,
            before=before,
            after=after,
            previous_hash=head.hash,
            site=site_of(object, before, after),
        )
        repository.append(tx, head, replace(entry, hash=hash_of(entry)))

    async def refusal(self, *, address: str, action: str, object: str, reason: str) -> None:  # noqa: A002
        """Add a row on somebody who was refused, in a transaction of its own: nothing else came of it."""
        async with self._database.transaction() as tx:
            await self.record(
                tx, actor=f"address:{address[:64]}", action=action, object=object, after={"reason": reason}
            )

    async def page(self, query: AuditQuery = EVERYTHING, *, before: int | None, limit: int) -> Sequence[AuditEntry]:
        """Rows that fit, from the newest back, older than `before`."""
        async with self._database.snapshot() as session:
            return await repository.newest(session, query, before=before, limit=limit)

    async def first_break(self) -> int | None:
        """The first row that was changed, or that follows a removed one; None when the whole chain holds."""
        after, previous = 0, GENESIS
        while True:
            async with self._database.snapshot() as session:
                entries = await repository.oldest(session, after=after, limit=CHECK_PAGE)
            if not entries:
                return None
            if entries[0].sequence != after + 1:
                return entries[0].sequence
            broken = first_break(entries, start=previous)
            if broken is not None:
                return broken
            after, previous = entries[-1].sequence, entries[-1].hash
