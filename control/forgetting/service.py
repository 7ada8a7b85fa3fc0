"""Forgetting old studies: in small steps, each whole, beside everything else that the database does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.db.singleton import FORGETTING_LOCK, alone
from control.forgetting import repository
from control.forgetting.repository import Counted, Place

log = structlog.get_logger()

TOGETHER = 100
"""Studies in one transaction: some thousand images, a fraction of a second."""
EVERY = timedelta(hours=1)

Progress = Callable[[Counted], None]


class ForgettingService:
    """Takes away what is known of studies of which nothing is left to do."""

    def __init__(self, database: Database, audit: AuditService, clock: Clock) -> None:
        self._database, self._audit, self._clock = database, audit, clock

    async def follow(self, keep: timedelta | None) -> None:
        """Run for ever: forget studies so long after their last image; None forgets nothing."""
        while keep is not None:
            try:
                gone = await self.forget(keep, actor="control", rest=True)
                if gone.studies:
                    log.info("metadata.forgotten", studies=gone.studies, instances=gone.instances)
            except Exception as error:
                log.warning("metadata.not_forgotten", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def would_forget(self, keep: timedelta, progress: Progress | None = None) -> Counted:
        """What `forget` would take away now."""
        before, total = self._clock() - keep, Counted()
        place: Place | None = None
        while True:
            async with self._database.snapshot() as session:
                places = await repository.finished(session, before=before, after=place, limit=TOGETHER)
                if not places:
                    return total
                total += await repository.count(session, places)
                place = places[-1]
            if progress is not None:
                progress(total)

    async def forget(
        self, keep: timedelta, *, actor: str, rest: bool = False, progress: Progress | None = None
    ) -> Counted:
        """Take away the studies of which nothing came for so long and nothing is owed, parked or without a destination.

        `rest`: half of the time is left to others. It may be broken off at any moment.
        """
        before, total = self._clock() - keep, Counted()
        place: Place | None = None
        while True:
            began = time.monotonic()
            async with self._database.transaction() as tx:
                # Of several replicas one does it; the others find nothing to do.
                if not await alone(tx, FORGETTING_LOCK):
                    return total
                places = await repository.finished(tx, before=before, after=place, limit=TOGETHER, lock=True)
                if not places:
                    return total
                gone = await repository.forget(tx, places)
                after: dict[str, str | int | bool | None] = {
                    "last_image_before": before.isoformat(),
                    "studies": gone.studies,
                    "instances": gone.instances,
                    "deliveries": gone.deliveries,
                }
                await self._audit.record(tx, actor=actor, action="metadata.forget", object="studies", after=after)
            total, place = total + gone, places[-1]
            if progress is not None:
                progress(total)
            if rest:
                await asyncio.sleep(time.monotonic() - began)
