"""Cutting batches and waiting between tries, without a network."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model import OutboxEvent
from edge.sync.backoff import Backoff, spread
from edge.sync.batches import MAX_BATCH_BYTES, MAX_EVENT_BYTES, MAX_EVENTS, Unsendable, next_batch, to_message
from mesh.v1.sync_pb2 import Event

WHEN = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)


def stored(sequence: int, *, kind: str = "delivery_changed", **body: object) -> OutboxEvent:
    return OutboxEvent(sequence=sequence, kind=kind, occurred_at=WHEN, body=body)


def message(event: OutboxEvent) -> Event:
    converted = to_message(event)
    assert isinstance(converted, Event)
    return converted


def test_an_instance_travels_with_everything_that_was_stored() -> None:
    event = message(
        stored(
            5,
            kind="instance_received",
            instance_id="a" * 32,
            data_set_bytes=2**40,
            received_at="2026-03-04T05:06:07.089Z",
            tags={"StudyInstanceUID": "1.2.3"},
            flags=["undecodable:PatientName"],
            reasons=[{"route": "all", "matched": True, "reason": "no condition"}],
            destinations=["pacs"],
        )
    )
    assert event.sequence == 5
    assert event.occurred_at.ToDatetime(tzinfo=UTC) == WHEN
    assert event.instance_received.data_set_bytes == 2**40
    assert event.instance_received.received_at == event.occurred_at
    assert dict(event.instance_received.tags) == {"StudyInstanceUID": "1.2.3"}
    assert event.instance_received.reasons[0].matched


def test_an_event_of_an_unknown_kind_is_unsendable_and_its_values_stay_here() -> None:
    converted = to_message(stored(1, kind="something_new", PatientName="DOE^JANE"))
    assert isinstance(converted, Unsendable)
    assert "DOE" not in converted.reason


def test_an_event_with_a_wrong_field_is_unsendable_and_its_values_stay_here() -> None:
    converted = to_message(stored(1, attempts="DOE^JANE"))
    assert isinstance(converted, Unsendable)
    assert "DOE" not in converted.reason


def test_an_event_beyond_one_message_is_unsendable() -> None:
    converted = to_message(stored(1, reason="x" * (MAX_EVENT_BYTES + 1)))
    assert isinstance(converted, Unsendable)
    assert "bytes" in converted.reason


def test_an_unsendable_event_stops_the_batch_before_it() -> None:
    batch = next_batch([stored(1), stored(2, nonsense=1), stored(3)])
    assert [event.sequence for event in batch.events] == [1]
    assert batch.unsendable is None
    batch = next_batch([stored(2, nonsense=1), stored(3)])
    assert batch.events == ()
    assert batch.unsendable is not None
    assert batch.unsendable.sequence == 2


def test_one_event_over_a_mebibyte_travels_alone() -> None:
    batch = next_batch([stored(1, reason="x" * (MAX_BATCH_BYTES + 1)), stored(2)])
    assert [event.sequence for event in batch.events] == [1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 400_000), max_size=12), st.integers(1, 12))
def test_batches_keep_order_lose_nothing_and_stay_within_bounds(sizes: list[int], limit: int) -> None:
    waiting = [stored(number, reason="x" * size) for number, size in enumerate(sizes, 1)]
    sent: list[int] = []
    while waiting:
        batch = next_batch(waiting, limit)
        assert 1 <= len(batch.events) <= limit
        assert sum(event.ByteSize() for event in batch.events) <= MAX_BATCH_BYTES
        sent += [event.sequence for event in batch.events]
        waiting = waiting[len(batch.events) :]
    assert sent == list(range(1, len(sizes) + 1))


def test_a_batch_has_at_most_five_hundred_events() -> None:
    assert len(next_batch([stored(n) for n in range(1, 700)]).events) == MAX_EVENTS == 500


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_longer_than_the_cap(failures: int, chance: float) -> None:
    assert 0 <= Backoff().delay(failures, chance) <= 60.0


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_the_pause_grows_with_the_failures(failures: int, chance: float) -> None:
    backoff = Backoff()
    assert backoff.delay(failures, chance) <= backoff.delay(failures + 1, chance)


def test_the_jitter_is_full() -> None:
    backoff = Backoff(base_seconds=1, cap_seconds=60)
    assert backoff.delay(3, 0.0) == 0.0
    assert backoff.delay(3, 0.5) == 4.0
    assert backoff.delay(30, 0.5) == 30.0


def test_what_the_centre_asked_for_is_waited_and_the_jitter_comes_on_top() -> None:
    assert Backoff().delay(1, 0.0, at_least=5.0) == 5.0
    assert Backoff().delay(1, 0.5, at_least=5.0) == 6.0


@given(st.floats(0, 1, exclude_max=True))
def test_a_spread_stays_within_a_fifth(chance: float) -> None:
    assert 48.0 <= spread(60.0, chance) <= 72.0
