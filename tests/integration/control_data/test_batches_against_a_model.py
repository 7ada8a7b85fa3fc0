"""Any history of pushes leaves what a simple model says: batches repeat, overlap, arrive late, and epochs change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
from control.instances.models import Instance, Series, Study, StudyFacet, StudySite, StudyTerm
from mesh.v1 import sync_pb2
from tests.control_fixtures import fresh_database
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


class Home:
    """A database that all examples share, and one event loop for them."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.database = open_database(url)
        self.runner.run(upgrade(self.database))

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with fresh_database(request.param, tmp_path_factory.mktemp("model"), request) as url:
        made = Home(url)
        yield made
        made.close()


TABLES = (Instance, Delivery, NodeCursor, Study, StudySite, StudyTerm, StudyFacet, Series)


async def wipe(database: Database) -> None:
    async with database.transaction() as session:
        for table in TABLES:
            await session.execute(delete(table))


async def play(database: Database, epochs: dict[int, list[sync_pb2.Event]], wanted: Sequence[Push]) -> None:
    inbox, model = InboxService(database, utcnow), Model()
    await wipe(database)
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


@settings(max_examples=30, deadline=None)
@given(first=events_of_an_epoch, second=events_of_an_epoch, wanted=pushes)
def test_any_history_of_pushes_leaves_what_the_model_says(
    home: Home,
    first: list[tuple[int, str]],
    second: list[tuple[int, str]],
    wanted: list[Push],
) -> None:
    home.runner.run(play(home.database, {1: history(first), 2: history(second)}, wanted))


STUDIES = 3
NODES = tuple(Sender(node_id=f"n{n}", site="north" if n < 2 else "south") for n in range(3))


async def contents(database: Database) -> list[list[tuple[Any, ...]]]:
    """Every row that batches leave, without the times of this machine's own clock."""
    found = []
    async with database.snapshot() as session:
        for table in TABLES:
            columns = [column for column in table.__table__.columns if column.name != "pushed_at"]
            rows = (await session.execute(select(*columns))).all()
            found.append(sorted(tuple(map(str, row)) for row in rows))
    return found


async def push_all(
    database: Database, batches: Sequence[tuple[Sender, list[sync_pb2.Event]]], *, together: bool
) -> list[list[tuple[Any, ...]]]:
    """What is left when they are pushed one after the other, or all at once and so in groups."""
    await wipe(database)
    inbox = InboxService(database, utcnow)
    if together:
        of_node = [[events for sender, events in batches if sender is node] for node in NODES]
        await asyncio.gather(*(_in_turn(inbox, node, mine) for node, mine in zip(NODES, of_node, strict=True)))
    else:
        for sender, events in batches:
            await inbox.push(sender, batch(events, epoch=1))
    return await contents(database)


async def _in_turn(inbox: InboxService, sender: Sender, batches: Sequence[list[sync_pb2.Event]]) -> None:
    for events in batches:
        await inbox.push(sender, batch(events, epoch=1))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NODES), st.integers(0, 12), st.integers(1, 5)), min_size=2, max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["received", *DeliveryState])), min_size=17, max_size=17),
)
def test_batches_committed_in_groups_leave_what_single_ones_leave(
    home: Home, slices: list[tuple[Sender, int, int]], steps: list[tuple[int, str]]
) -> None:
    # Each node tells of objects of its own in studies that all nodes share. The first telling lists a study, so all
    # of them are told at one moment first.
    told = {node: _of_node(number, steps) for number, node in enumerate(NODES)}
    opening = [(node, told[node][:STUDIES]) for node in NODES]
    batches = [*opening, *((node, told[node][first : first + count]) for node, first, count in slices)]
    single = home.runner.run(push_all(home.database, batches, together=False))
    assert home.runner.run(push_all(home.database, batches, together=True)) == single


def _of_node(number: int, steps: Sequence[tuple[int, str]]) -> list[sync_pb2.Event]:
    tags = {"PatientID": "P1", "Modality": "CT", "PatientName": "DOE^JANE"}
    events = [
        received(sequence, number * 10 + thing, study=f"1.{thing}", tags=tags)
        if what == "received"
        else changed(sequence, number * 10 + thing, what, study=f"1.{thing}")
        for sequence, (thing, what) in enumerate(steps, start=STUDIES + 1)
    ]
    opening = [
        received(thing + 1, number * 10 + thing, study=f"1.{thing}", tags=tags, at=moment(0))
        for thing in range(STUDIES)
    ]
    return [*opening, *events]


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
