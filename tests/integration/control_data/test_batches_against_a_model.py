"""Any history of pushes leaves what a simple model says: batches repeat, overlap, arrive late, and epochs change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from control.clock import utcnow
from control.db.session import Database, open_database
from control.db.upgrade import upgrade
from control.deliveries.changes import FINALITY, DeliveryState
from control.deliveries.models import Delivery
from control.inbox.batch import Sender
from control.inbox.models import NodeCursor
from control.inbox.service import InboxService
from control.instances.models import Instance
from mesh.v1 import sync_pb2
from tests.mesh_events import batch, changed, instance_id, moment, received

NODE = Sender(node_id="n1", site="north")
OBJECTS = 4


@dataclass(frozen=True, kw_only=True)
class Push:
    """One push: some slice of one epoch's history, perhaps after the server was restored to an older ack."""

    epoch: int
    first: int
    last: int
    restored_to: int | None


@dataclass(kw_only=True)
class Model:
    """What the centre should know: one event after the other, with the rule in plain words."""

    acks: dict[int, int] = field(default_factory=dict)
    received: dict[str, datetime | None] = field(default_factory=dict)
    deliveries: dict[str, tuple[int, int, datetime, str]] = field(default_factory=dict)
    proof: dict[str, datetime] = field(default_factory=dict)

    def push(self, epoch: int, events: Sequence[sync_pb2.Event]) -> int:
        ack = self.acks.get(epoch, 0)
        fresh = [event for event in events if event.sequence > ack]
        # A reception makes deliveries known before any change of the same batch is looked at.
        for event in fresh:
            if event.HasField("instance_received"):
                self._learn(epoch, event)
        for event in fresh:
            if event.HasField("delivery_changed"):
                self._change(epoch, event)
        self.acks[epoch] = max([ack, *(event.sequence for event in fresh)])
        return self.acks[epoch]

    def _learn(self, epoch: int, event: sync_pb2.Event) -> None:
        key, at = event.instance_received.instance_id, moment(event.sequence)
        self.received[key] = at if self.received.get(key) is None else max(at, self.received[key] or at)
        if event.instance_received.destinations:
            self.deliveries.setdefault(key, (epoch, event.sequence, at, "due"))

    def _change(self, epoch: int, event: sync_pb2.Event) -> None:
        key, state, at = event.delivery_changed.instance_id, event.delivery_changed.state, moment(event.sequence)
        self.received.setdefault(key, None)
        if state == "delivered":
            self.proof.setdefault(key, at)
        stands = self.deliveries.get(key)
        if stands is None or _is_later((epoch, event.sequence, at, state), stands):
            self.deliveries[key] = (epoch, event.sequence, at, state)


def _is_later(comes: tuple[int, int, datetime, str], stands: tuple[int, int, datetime, str]) -> bool:
    if comes[0] == stands[0]:
        return comes[1] > stands[1]
    if comes[2] != stands[2]:
        return comes[2] > stands[2]
    return FINALITY[DeliveryState(comes[3])] >= FINALITY[DeliveryState(stands[3])]


events_of_an_epoch = st.lists(
    st.tuples(st.integers(0, OBJECTS - 1), st.sampled_from(["received", *DeliveryState])), min_size=1, max_size=14
)
pushes = st.lists(
    st.builds(
        Push,
        epoch=st.integers(1, 2),
        first=st.integers(1, 14),
        last=st.integers(1, 14),
        restored_to=st.none() | st.integers(0, 14),
    ),
    min_size=1,
    max_size=8,
)


def history(steps: Sequence[tuple[int, str]]) -> list[sync_pb2.Event]:
    """The events of one epoch; the same for every push of it, as an outbox holds them."""
    return [
        received(sequence, number) if what == "received" else changed(sequence, number, what)
        for sequence, (number, what) in enumerate(steps, start=1)
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


async def play(database: Database, epochs: dict[int, list[sync_pb2.Event]], wanted: Sequence[Push]) -> None:
    inbox, model = InboxService(database, utcnow), Model()
    async with database.transaction() as session:
        for table in (Instance, Delivery, NodeCursor):
            await session.execute(delete(table))
    for push in wanted:
        if push.restored_to is not None and push.restored_to < model.acks.get(push.epoch, 0):
            model.acks[push.epoch] = push.restored_to
            async with database.transaction() as session:
                await session.execute(
                    update(NodeCursor)
                    .where(NodeCursor.epoch == f"{push.epoch:016x}")
                    .values(ack_sequence=push.restored_to)
                )
        events = epochs[push.epoch][push.first - 1 : push.last]
        assert await inbox.push(NODE, batch(events, epoch=push.epoch)) == model.push(push.epoch, events)
    async with database.snapshot() as session:
        instances = (await session.scalars(select(Instance))).all()
        deliveries = (await session.scalars(select(Delivery))).all()
    assert {one.instance_id: one.received_at for one in instances} == model.received
    assert {one.instance_id: one.state for one in deliveries} == {
        key: stands[3] for key, stands in model.deliveries.items()
    }
    assert {one.instance_id for one in deliveries if one.delivered_at} == set(model.proof)


@settings(max_examples=60, deadline=None)
@given(first=events_of_an_epoch, second=events_of_an_epoch, wanted=pushes)
def test_any_history_of_pushes_leaves_what_the_model_says(
    home: Path,
    first: list[tuple[int, str]],
    second: list[tuple[int, str]],
    wanted: list[Push],
) -> None:
    async def run() -> None:
        database = open_database(f"sqlite:///{home / 'model.db'}")
        await upgrade(database)
        await play(database, {1: history(first), 2: history(second)}, wanted)
        await database.close()

    asyncio.run(run())


async def test_a_long_history_leaves_what_the_model_says_on_both_databases(database: Database) -> None:
    states = ["received", "due", "sending", "retry_wait", "delivered", "parked"]
    first = [(n % OBJECTS, states[(n * 7) % 6]) for n in range(14)]
    second = [(n % OBJECTS, states[(n * 5 + 1) % 6]) for n in range(14)]
    wanted = [
        Push(
            epoch=1 + n % 2, first=1 + (n * 3) % 14, last=4 + (n * 3) % 14, restored_to=(n * 5) % 14 if n % 3 else None
        )
        for n in range(24)
    ]
    await play(database, {1: history(first), 2: history(second)}, wanted)


async def test_many_nodes_that_send_one_study_at_once_all_come_through(database: Database) -> None:
    """On PostgreSQL their rows meet in the same study; a deadlock would show as an error."""
    inbox = InboxService(database, utcnow)
    nodes = [Sender(node_id=f"n{n}", site="north") for n in range(6)]

    async def send(node: Sender, offset: int) -> None:
        for start in range(0, 40, 10):
            numbers = range(start + 1, start + 11)
            events = [received(n, n, study=f"1.{(n + offset) % 5}") for n in numbers]
            assert await inbox.push(node, batch(events, epoch=9)) == start + 10

    await asyncio.gather(*(send(node, offset) for offset, node in enumerate(nodes)))
    async with database.snapshot() as session:
        known = (await session.execute(select(Instance.node_id, Instance.instance_id))).all()
    assert {tuple(row) for row in known} == {(node.node_id, instance_id(n)) for node in nodes for n in range(1, 41)}
