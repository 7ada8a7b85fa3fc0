"""Applies pushed batches exactly once in effect: the rows and the cursor change in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

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
from control.inbox.batch import Batch, Event, Sender, read_batch
from control.inbox.lanes import Lane
from control.instances.received import ReceivedInstance
from control.instances.service import learn_objects
from control.live.news import news_of
from control.live.service import record
from mesh.v1 import sync_pb2

log = structlog.get_logger(__name__)

BACKFILL_EVENTS = 100
"""A node that keeps up sends a few at a time; one that sends more is catching up, and yields to the others."""

LIVE_AT_ONCE, BACKFILLS_AT_ONCE = 6, 2
"""Transactions. Together under the size of the connection pool, so that people can still search meanwhile."""

GROUP_EVENTS = 2500
"""About as many are committed together: a tenth of a second of this process's time."""

LIVE_WAITING, BACKFILL_WAITING = 50_000, 200_000
"""Events in memory before a node is asked to come back later: some seconds of work."""

TRIES = 3
"""A deadlock or a serialization failure between two nodes usually ends with the second try."""

PAUSE_SECONDS = 0.05

CLOCK_SLACK = timedelta(hours=1)
"""How far ahead of ours a node's clock may be before its times are not believed."""

READ_ASIDE_BYTES = 1 << 20
"""A larger batch than nodes send is read in a thread: everybody else's requests go on meanwhile."""


class InboxService:
    """Takes what nodes push."""

    def __init__(self, database: Database, clock: Clock, *, committed: Callable[[], None] = lambda: None) -> None:
        """`committed` is called after each commit, so that this process tells its watchers at once."""
        self._database = database
        self._clock = clock
        self._committed = committed
        self._live = Lane(
            self._apply_with_retries, at_once=LIVE_AT_ONCE, group_events=GROUP_EVENTS, most_waiting=LIVE_WAITING
        )
        self._backfill = Lane(
            self._apply_with_retries,
            at_once=BACKFILLS_AT_ONCE,
            group_events=GROUP_EVENTS,
            most_waiting=BACKFILL_WAITING,
        )

    async def push(self, sender: Sender, request: sync_pb2.PushBatchRequest) -> int:
        """The cumulative ack: every event up to it is committed for this node and epoch.

        Raises:
            InvalidEvent: nothing of the batch was applied.
            Busy: nothing of the batch was applied; too many wait already.
            DatabaseAway: whether the batch was applied is open, and pushing it again is safe.
        """
        batch = await _read(sender, request, self._clock() + CLOCK_SLACK)
        lane = self._backfill if len(batch.events) > BACKFILL_EVENTS else self._live
        return await lane.commit(batch)

    async def _apply_with_retries(self, batches: Sequence[Batch]) -> Sequence[int]:
        nodes = [batch.sender.node_id for batch in batches]
        for attempt in range(1, TRIES + 1):
            try:
                acks = await self._apply(batches)
            except (OperationalError, InterfaceError, PoolTimeout, OSError) as problem:
                log.warning("inbox.database_trouble", nodes=nodes, attempt=attempt, error=type(problem).__name__)
            except DBAPIError as problem:
                if not problem.connection_invalidated:
                    # Its text would repeat the rows, and those are patients' data.
                    log.error("inbox.batch_failed", nodes=nodes, error=type(problem.orig).__name__)
                    raise
            else:
                self._committed()
                return acks
            await asyncio.sleep(PAUSE_SECONDS * attempt)
        raise DatabaseAway

    async def _apply(self, batches: Sequence[Batch]) -> Sequence[int]:
        now = self._clock()
        async with self._database.transaction() as session:
            acks = await repository.lock_cursors(session, batches, now)
            fresh = [_fresh(batch, ack) for batch, ack in zip(batches, acks, strict=True)]
            moved = [events[-1].sequence if events else ack for events, ack in zip(fresh, acks, strict=True)]
            await repository.move_cursors(session, batches, moved, now)
            await _learn(session, [event for events in fresh for event in events])
            news = [
                line
                for batch, events in zip(batches, fresh, strict=True)
                for line in news_of(site=batch.sender.site, node_id=batch.sender.node_id, events=events)
            ]
            await record(session, news, now)
        return moved


def _fresh(batch: Batch, ack: int) -> Sequence[Event]:
    """The events that are not applied yet.

    None of a node that knows of more than this database has, which was restored then: after its next events nobody
    would ever know what lies between. It sees our ack and tells all of it again.
    """
    events = batch.events
    if batch.acknowledged > ack:
        log.warning("inbox.behind", node_id=batch.sender.node_id, ack=ack, acknowledged=batch.acknowledged)
        return ()
    if events and events[0].sequence <= ack:
        events = tuple(event for event in events if event.sequence > ack)
    if events and ack and events[0].sequence > ack + 1:
        # Told before a restore of this database, and too long ago for the node to remember.
        log.warning("inbox.gap", node_id=batch.sender.node_id, missing=events[0].sequence - ack - 1)
    return events


async def _read(sender: Sender, request: sync_pb2.PushBatchRequest, latest: datetime) -> Batch:
    if request.ByteSize() <= READ_ASIDE_BYTES:
        return read_batch(sender, request, latest=latest)
    return await asyncio.to_thread(read_batch, sender, request, latest=latest)


async def _learn(session: AsyncSession, events: Sequence[Event]) -> None:
    receptions = [event for event in events if isinstance(event, ReceivedInstance)]
    changes = [event for event in events if isinstance(event, DeliveryChange)]
    told = {(one.node_id, one.instance_id) for one in receptions}
    untold = [one for one in changes if (one.node_id, one.instance_id) not in told]
    await learn_objects(session, receptions, untold)
    await learn_deliveries(session, [due for one in receptions for due in _owed_by(one)], changes)


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
