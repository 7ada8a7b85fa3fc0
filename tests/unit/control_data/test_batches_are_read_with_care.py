"""Reading a pushed batch: strict with what our own software writes, patient with what peers wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.deliveries.changes import DeliveryChange, DeliveryState
from control.errors import Busy, InvalidEvent
from control.inbox.batch import MAX_EVENTS, Sender, read_batch
from control.inbox.wire_text import TEXT_LIMIT, storable, storable_uid
from control.instances.facts import search_terms, words
from control.instances.received import ReceivedInstance
from control.sync.in_flight import InFlight
from mesh.v1 import sync_pb2
from tests.mesh_events import batch, changed, received

SENDER = Sender(node_id="n1", site="north")


def broken(event: sync_pb2.Event) -> int:
    with pytest.raises(InvalidEvent) as caught:
        read_batch(SENDER, batch([received(1), event]))
    return caught.value.sequence


def test_the_sender_comes_from_the_certificate_and_the_order_from_the_sequence() -> None:
    read = read_batch(SENDER, batch([changed(9, 1, "delivered"), received(3)]))
    assert [event.sequence for event in read.events] == [3, 9]
    assert {event.node_id for event in read.events} == {"n1"}
    first, second = read.events
    assert isinstance(first, ReceivedInstance)
    assert isinstance(second, DeliveryChange)
    assert second.state is DeliveryState.DELIVERED
    assert read.epoch == "f00d000000000001"


def test_the_same_event_twice_in_a_batch_is_one() -> None:
    assert len(read_batch(SENDER, batch([received(3), received(3)])).events) == 1


def test_each_kind_of_broken_event_names_its_sequence() -> None:
    no_time = received(7)
    no_time.ClearField("occurred_at")
    mad_time = received(7)
    mad_time.occurred_at.seconds = 2**60
    no_body = sync_pb2.Event(sequence=7)
    no_body.occurred_at.GetCurrentTime()
    for event in (
        no_time,
        mad_time,
        no_body,
        received(7, instance_id="../../etc"),
        changed(7, 1, "lost"),
        changed(7, 1, "due", destination=""),
        received(7, destinations=[""]),
        received(7, data_set_bytes=2**64 - 1),
    ):
        assert broken(event) == 7
    assert broken(received(1, 2)) == 1
    zero = received(1)
    zero.sequence = 0
    assert broken(zero) == 0


@pytest.mark.parametrize(
    "event",
    [
        received(7, destinations=[f"d{n}" for n in range(65)]),
        received(7, flags=["odd"] * 257),
        received(7, tags={f"T{n}": "" for n in range(257)}),
        received(7, destinations=["pacs"] * 100_000),
    ],
    ids=["destinations", "flags", "tags", "one repeated"],
)
def test_an_event_has_a_largest_size(event: sync_pb2.Event) -> None:
    assert broken(event) == 7


def test_an_event_has_no_more_than_so_many_reasons() -> None:
    event = received(7)
    event.instance_received.reasons.extend([sync_pb2.RouteReason(route="r")] * 256)
    assert broken(event) == 7


def test_one_node_holds_only_so_many_calls() -> None:
    calls = InFlight(2)
    with calls.entered("a"), calls.entered("a"), calls.entered("b"), pytest.raises(Busy), calls.entered("a"):
        pass
    with calls.entered("a"), calls.entered("a"):
        pass


def test_a_batch_has_a_largest_size() -> None:
    with pytest.raises(InvalidEvent, match=str(MAX_EVENTS)):
        read_batch(SENDER, sync_pb2.PushBatchRequest(events=[sync_pb2.Event()] * (MAX_EVENTS + 1)))


@given(st.text())
def test_any_text_becomes_storable_and_stays_when_it_is(text: str) -> None:
    kept = storable(text)
    assert "\0" not in kept
    assert len(kept) <= TEXT_LIMIT
    assert storable(kept) == kept
    if "\0" not in text and len(text) <= TEXT_LIMIT:
        assert kept == text


def test_a_uid_loses_its_padding() -> None:
    assert storable_uid("1.2.3\0") == "1.2.3"


def test_words_split_where_dicom_separates() -> None:
    assert words("MÜLLER^Anna Maria=山田^太郎") == ("müller", "anna", "maria", "山田", "太郎")
    assert words(" \t") == ()


def test_no_number_of_words_can_hide_the_uid_of_a_study() -> None:
    (event,) = read_batch(
        SENDER, batch([received(1, tags={"StudyDescription": " ".join(map(str, range(200)))})])
    ).events
    assert isinstance(event, ReceivedInstance)
    assert search_terms("1.2.3", event.tags)[0] == "1.2.3"
