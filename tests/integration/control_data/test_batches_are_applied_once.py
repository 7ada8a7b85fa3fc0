"""PushBatch against a real database: exactly once in effect by node, epoch and sequence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError

from control.clock import utcnow
from control.db.session import Database
from control.deliveries.models import Delivery
from control.errors import DatabaseAway, InvalidEvent
from control.inbox import service as inbox_service
from control.inbox.batch import Sender
from control.inbox.models import NodeCursor
from control.inbox.service import InboxService
from control.instances.models import Instance, StudySite
from control.live.service import FeedService
from tests.mesh_events import batch, changed, instance_id, moment, received

NORTH = Sender(node_id="n1", site="north")


@pytest.fixture
def inbox(database: Database) -> InboxService:
    return InboxService(database, utcnow)


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that the batches left, in a comparable form. Which event a row tells of is left out."""
    async with database.snapshot() as session:
        instances = (await session.scalars(select(Instance))).all()
        deliveries = (await session.scalars(select(Delivery))).all()
    return {
        "instances": sorted(
            (one.node_id, one.instance_id, one.received_at, one.policy, one.sop_instance_uid) for one in instances
        ),
        "deliveries": sorted(
            (one.node_id, one.instance_id, one.destination, one.state, one.attempts, one.delivered_at)
            for one in deliveries
        ),
    }


async def state_of(database: Database, number: int, destination: str = "pacs") -> str:
    async with database.snapshot() as session:
        found = await session.get(Delivery, ("n1", instance_id(number), destination))
    assert found is not None
    return found.state


async def test_the_ack_is_the_highest_applied_sequence(inbox: InboxService) -> None:
    assert await inbox.push(NORTH, batch([received(1), received(2), changed(5, 1, "delivered")])) == 5


async def test_an_empty_batch_tells_where_to_resume(inbox: InboxService) -> None:
    assert await inbox.push(NORTH, batch([])) == 0
    await inbox.push(NORTH, batch([received(3)]))
    assert await inbox.push(NORTH, batch([])) == 3


async def test_a_repeated_batch_changes_nothing(inbox: InboxService, database: Database) -> None:
    events = [received(1), changed(2, 1, "sending"), changed(3, 1, "delivered", attempts=1)]
    await inbox.push(NORTH, batch(events))
    before = await everything(database)
    assert await inbox.push(NORTH, batch(events)) == 3
    assert await everything(database) == before


async def test_an_overlapping_batch_applies_only_what_is_new(inbox: InboxService, database: Database) -> None:
    await inbox.push(NORTH, batch([received(1), changed(2, 1, "retry_wait")]))
    assert await inbox.push(NORTH, batch([changed(2, 1, "retry_wait"), changed(3, 1, "delivered")])) == 3
    assert await state_of(database, 1) == "delivered"


async def test_an_old_batch_that_arrives_late_never_takes_the_ack_back(inbox: InboxService, database: Database) -> None:
    late = batch([received(1), changed(2, 1, "due")])
    await inbox.push(NORTH, late)
    await inbox.push(NORTH, batch([changed(3, 1, "delivered")]))
    assert await inbox.push(NORTH, late) == 3
    assert await state_of(database, 1) == "delivered"


async def test_a_batch_out_of_order_is_applied_in_order(inbox: InboxService, database: Database) -> None:
    events = [changed(3, 1, "delivered"), received(1), changed(2, 1, "sending")]
    assert await inbox.push(NORTH, batch(events)) == 3
    assert await state_of(database, 1) == "delivered"


async def test_a_new_epoch_that_sends_everything_again_doubles_nothing(inbox: InboxService, database: Database) -> None:
    events = [received(1), received(2), changed(3, 1, "delivered", attempts=1)]
    await inbox.push(NORTH, batch(events))
    before = await everything(database)
    again = [received(1, at=moment(1)), received(2, at=moment(2)), changed(3, 1, "delivered", attempts=1)]
    assert await inbox.push(NORTH, batch(again, epoch=7)) == 3
    assert await everything(database) == before


async def test_delivered_is_not_overwritten_by_an_older_event_of_another_epoch(
    inbox: InboxService, database: Database
) -> None:
    await inbox.push(NORTH, batch([received(1), changed(9, 1, "delivered")]))
    await inbox.push(NORTH, batch([changed(50, 1, "due", at=moment(4))], epoch=7))
    assert await state_of(database, 1) == "delivered"


async def test_a_delivery_asked_for_again_is_shown_as_waiting_and_remembers_the_first(
    inbox: InboxService, database: Database
) -> None:
    await inbox.push(NORTH, batch([received(1), changed(2, 1, "delivered")]))
    await inbox.push(NORTH, batch([changed(3, 1, "due")]))
    async with database.snapshot() as session:
        found = await session.get(Delivery, ("n1", instance_id(1), "pacs"))
    assert found is not None
    assert (found.state, found.delivered_at) == ("due", moment(2))


async def test_inside_an_epoch_the_sequence_decides_when_the_nodes_clock_stepped_back(
    inbox: InboxService, database: Database
) -> None:
    await inbox.push(NORTH, batch([received(10), changed(11, 10, "sending", at=moment(500))]))
    await inbox.push(NORTH, batch([changed(12, 10, "delivered", at=moment(3))]))
    assert await state_of(database, 10) == "delivered"


async def test_a_server_restored_to_an_older_ack_takes_the_events_again(
    inbox: InboxService, database: Database
) -> None:
    events = [received(1), changed(2, 1, "sending"), received(3), changed(4, 1, "delivered")]
    await inbox.push(NORTH, batch(events))
    before = await everything(database)
    async with database.transaction() as session:
        await session.execute(update(NodeCursor).values(ack_sequence=1))
    assert await inbox.push(NORTH, batch(events[1:])) == 4
    assert await everything(database) == before


async def test_a_restored_server_takes_nothing_of_a_node_that_knows_more_until_it_tells_it_again(
    inbox: InboxService, database: Database
) -> None:
    events = [received(1), changed(2, 1, "delivered"), received(3), changed(4, 3, "delivered"), received(5)]
    await inbox.push(NORTH, batch(events))
    before = await everything(database)
    for table in (Instance, Delivery):
        async with database.transaction() as session:
            await session.execute(delete(table).where(table.sequence > 2))
    async with database.transaction() as session:
        await session.execute(update(NodeCursor).values(ack_sequence=2))
    lost = await everything(database)
    late = batch([received(6)])
    late.acknowledged = 5
    assert await inbox.push(NORTH, late) == 2
    assert await everything(database) == lost != before
    late.acknowledged = 2
    again = batch(events[2:])
    again.acknowledged = 2
    assert await inbox.push(NORTH, again) == 5
    assert await everything(database) == before


async def test_a_delivery_of_an_unknown_instance_is_kept_and_completed_later(
    inbox: InboxService, database: Database
) -> None:
    await inbox.push(NORTH, batch([changed(5, 1, "delivered")]))
    async with database.snapshot() as session:
        stub = await session.get(Instance, ("n1", instance_id(1)))
    assert stub is not None
    assert stub.received_at is None
    assert stub.study_instance_uid == "1.2.3"
    await inbox.push(NORTH, batch([received(1)], epoch=7))
    async with database.snapshot() as session:
        told = await session.get(Instance, ("n1", instance_id(1)))
    assert told is not None
    assert told.received_at == moment(1)
    assert told.calling_ae_title == "CT1"
    assert await state_of(database, 1) == "delivered"


async def test_an_invalid_event_names_its_sequence_and_nothing_is_applied(
    inbox: InboxService, database: Database
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        await inbox.push(NORTH, batch([received(1), changed(2, 1, "lost")]))
    assert caught.value.sequence == 2
    assert await inbox.push(NORTH, batch([])) == 0
    assert (await everything(database))["instances"] == []


async def test_odd_content_of_a_peer_is_kept_readable_and_never_stops_the_outbox(
    inbox: InboxService, database: Database
) -> None:
    odd = received(
        1,
        sop_instance_uid="../../etc/passwd\0",
        study_instance_uid="",
        calling_ae_title="\x1b[31m\0",
        tags={"PatientName": "<script>alert(1)</script>\0" + "x" * 5000, "StudyDescription": "線\ufffd 1"},
    )
    assert await inbox.push(NORTH, batch([odd])) == 1
    async with database.snapshot() as session:
        kept = await session.get(Instance, ("n1", instance_id(1)))
        site = await session.get(StudySite, ("", "north"))
    assert kept is not None
    assert kept.sop_instance_uid == "../../etc/passwd"
    assert len(kept.tags["PatientName"]) == 1024
    assert site is not None
    assert len(site.patient_name) == 256


async def test_two_epochs_of_one_node_have_a_cursor_each(inbox: InboxService) -> None:
    await inbox.push(NORTH, batch([received(9)]))
    assert await inbox.push(NORTH, batch([received(1, 11)], epoch=7)) == 1
    assert await inbox.push(NORTH, batch([])) == 9


async def test_the_later_value_of_an_attribute_stands_and_an_empty_one_never_does(
    inbox: InboxService, database: Database
) -> None:
    await inbox.push(NORTH, batch([received(5, tags={"PatientID": "NEW", "PatientName": "ROE^RICHARD"})]))
    await inbox.push(NORTH, batch([received(6, tags={"PatientID": ""})]))
    await inbox.push(NORTH, batch([received(7, at=moment(1))]))
    async with database.snapshot() as session:
        site = await session.get(StudySite, ("1.2.3", "north"))
    assert site is not None
    assert (site.patient_id, site.patient_name) == ("NEW", "ROE^RICHARD")
    assert site.accession_number == "A-17"
    assert (site.first_received_at, site.last_received_at) == (moment(1), moment(6))


class TroubledDatabase:
    """The real database behind a line that fails as often as the test says."""

    def __init__(self, database: Database, failures: int) -> None:
        self._database = database
        self._failures: Iterator[int] = iter(range(failures))

    def transaction(self) -> Any:
        if next(self._failures, None) is not None:
            raise OperationalError("BEGIN", {}, RuntimeError("the line is down"))
        return self._database.transaction()


async def test_trouble_that_passes_is_not_seen_by_the_node(database: Database) -> None:
    inbox = InboxService(TroubledDatabase(database, 2), utcnow)  # type: ignore[arg-type]
    assert await inbox.push(NORTH, batch([received(1)])) == 1


async def test_trouble_that_stays_says_so_and_never_a_wrong_ack(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_service, "PAUSE_SECONDS", 0.0)
    inbox = InboxService(TroubledDatabase(database, 99), utcnow)  # type: ignore[arg-type]
    with pytest.raises(DatabaseAway):
        await inbox.push(NORTH, batch([received(1)]))
    assert (await everything(database))["instances"] == []


async def test_a_batch_tells_the_watchers_one_line_for_each_study(database: Database) -> None:
    told: list[str] = []
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    inbox = InboxService(database, lambda: noon, committed=lambda: told.append("committed"))
    await inbox.push(NORTH, batch([received(1), received(2, study="9.9"), changed(3, 1, "delivered")]))
    page = await FeedService(database, utcnow).read_after(0)
    assert told == ["committed"]
    assert [line.sequence for line in page.lines] == [1, 2]
    assert page.lines[0].body == {
        "site": "north", "node_id": "n1", "study_instance_uid": "1.2.3", "received": 1, "delivered": 1
    }  # fmt: skip
    await inbox.push(NORTH, batch([received(1)]))
    assert (await FeedService(database, utcnow).newest()) == 2
