"""Applies pushed batches exactly once in effect: the rows and the cursor change in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.db.session import Database
from control.deliveries.changes import DeliveryChange, DeliveryState
from control.deliveries.service import learn_deliveries
from control.errors import DatabaseAway
from control.inbox import repository
from control.inbox.batch import Batch, Sender, read_batch
from control.instances.received import ReceivedInstance
from control.instances.service import learn_from_deliveries, learn_receptions
from control.live.news import news_of
from control.live.service import record
from mesh.v1 import sync_pb2

log = structlog.get_logger(__name__)

BATCHES_AT_ONCE = 8
"""Under the size of the connection pool, so that people can still search while a thousand nodes catch up."""

TRIES = 3
"""A deadlock or a serialization failure between two nodes usually ends with the second try."""

PAUSE_SECONDS = 0.05

READ_ASIDE_BYTES = 128 * 1024
"""A larger batch is read in a thread: everybody else's requests go on meanwhile."""


class InboxService:
    """Takes what nodes push."""

    def __init__(self, database: Database, clock: Clock, *, committed: Callable[[], None] = lambda: None) -> None:
        """`committed` is called after each commit, so that this process tells its watchers at once."""
        self._database = database
        self._clock = clock
        self._committed = committed
        self._turnstile = asyncio.Semaphore(BATCHES_AT_ONCE)

    async def push(self, sender: Sender, request: sync_pb2.PushBatchRequest) -> int:
        """The cumulative ack: every event up to it is committed for this node and epoch.

        Raises:
            InvalidEvent: nothing of the batch was applied.
            DatabaseAway: whether the batch was applied is open, and pushing it again is safe.
        """
        batch = await _read(sender, request)
        async with self._turnstile:
            ack = await self._apply_with_retries(batch)
        self._committed()
        return ack

    async def _apply_with_retries(self, batch: Batch) -> int:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._apply(batch)
            except (OperationalError, InterfaceError, PoolTimeout, OSError) as problem:
                log.warning(
                    "inbox.database_trouble",
                    node_id=batch.sender.node_id,
                    attempt=attempt,
                    error=type(problem).__name__,
                )
            except DBAPIError as problem:
                if not problem.connection_invalidated:
                    # Its text would repeat the rows, and those are patients' data.
                    log.error("inbox.batch_failed", node_id=batch.sender.node_id, error=type(problem.orig).__name__)
                    raise
            await asyncio.sleep(PAUSE_SECONDS * attempt)
        raise DatabaseAway

    async def _apply(self, batch: Batch) -> int:
        now = self._clock()
        async with self._database.transaction() as session:
            cursor = await repository.lock_cursor(
                session, node_id=batch.sender.node_id, epoch=batch.epoch, site=batch.sender.site, now=now
            )
            fresh = [event for event in batch.events if event.sequence > cursor.ack_sequence]
            if fresh and cursor.ack_sequence and fresh[0].sequence > cursor.ack_sequence + 1:
                # After a restore of this database: what lies between was acknowledged once and is gone from the node.
                log.warning(
                    "inbox.gap",
                    node_id=batch.sender.node_id,
                    missing=fresh[0].sequence - cursor.ack_sequence - 1,
                )
            if fresh:
                cursor.ack_sequence = fresh[-1].sequence
            cursor.boot_id, cursor.pushed_at = batch.boot_id, now
            await session.flush()
            await _learn(session, fresh)
            await record(session, news_of(site=batch.sender.site, node_id=batch.sender.node_id, events=fresh), now)
            return cursor.ack_sequence


async def _read(sender: Sender, request: sync_pb2.PushBatchRequest) -> Batch:
    if request.ByteSize() <= READ_ASIDE_BYTES:
        return read_batch(sender, request)
    return await asyncio.to_thread(read_batch, sender, request)


async def _learn(session: AsyncSession, events: Sequence[ReceivedInstance | DeliveryChange]) -> None:
    receptions = [event for event in events if isinstance(event, ReceivedInstance)]
    changes = [event for event in events if isinstance(event, DeliveryChange)]
    told = {one.instance_id for one in receptions}
    await learn_receptions(session, receptions)
    await learn_from_deliveries(session, [one for one in changes if one.instance_id not in told])
    owed = [due for one in receptions for due in _owed_by(one)]
    await learn_deliveries(session, owed, changes)


def _owed_by(received: ReceivedInstance) -> Sequence[DeliveryChange]:
    """What a reception makes its node owe, before any attempt."""
    return [
        DeliveryChange(
            node_id=received.node_id,
            site=received.site,
            epoch=received.epoch,
            sequence=received.sequence,
            occurred_at=received.occurred_at,
            instance_id=received.instance_id,
            sop_instance_uid=received.sop_instance_uid,
            study_instance_uid=received.study_instance_uid,
            destination=destination,
            state=DeliveryState.DUE,
            reason="",
            attempts=0,
            dimse_status=0,
        )
        for destination in received.destinations
    ]
