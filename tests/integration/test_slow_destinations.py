"""Destinations that are slow, that stop reading or never answer: a lane waits while bytes move, and never for ever."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, TryLater
from edge.forward.cstore import CStoreForwarder
from edge.model import ClaimedDelivery, DicomDestination
from tests.edge_samples import data_set, routed, take
from tests.slow_road import SlowRoad

UID = "1.2.3.4"


def _queue(buffer: Buffer, megabytes: int = 0) -> list[ClaimedDelivery]:
    buffer.admit([routed(take(buffer, UID, data_set(UID, body=bytes((megabytes << 20) + 10))), "d")])
    return buffer.claim("d", 10)


def _forwarder(port: int, buffer: Buffer, idle_seconds: float) -> CStoreForwarder:
    destination = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title="PACS")
    return CStoreForwarder(destination, buffer.spool, idle_seconds=idle_seconds)


def _deliver(forwarder: CStoreForwarder, deliveries: list[ClaimedDelivery]) -> tuple[list[Outcome], float, bool]:
    """Outcomes, seconds, and whether the destination was said to be down."""
    outcomes: list[Outcome] = []
    began, down = time.monotonic(), False
    try:
        forwarder.deliver(deliveries, lambda _delivery, outcome: outcomes.append(outcome))
    except DestinationDown:
        down = True
    return outcomes, time.monotonic() - began, down


def test_an_object_that_takes_longer_than_the_idle_time_is_delivered(buffer: Buffer) -> None:
    with SlowRoad(bytes_per_second=4 << 20) as road:
        outcomes, seconds, down = _deliver(_forwarder(road.port, buffer, 0.8), _queue(buffer, 12))
        assert (outcomes, down) == ([Accepted()], False)
        assert seconds > 1.6
        assert len(road.received) == 1


def test_a_peer_that_stops_reading_in_the_middle_is_left_and_the_object_tried_later(buffer: Buffer) -> None:
    with SlowRoad(stops_reading_after=1 << 18) as road:
        outcomes, seconds, down = _deliver(_forwarder(road.port, buffer, 0.8), _queue(buffer, 24))
    assert [type(one) for one in outcomes] == [TryLater]
    assert down
    assert seconds < 6


def test_a_peer_that_takes_an_object_and_never_answers_is_left(buffer: Buffer) -> None:
    with SlowRoad(answers=False) as road:
        outcomes, seconds, down = _deliver(_forwarder(road.port, buffer, 0.5), _queue(buffer))
        assert [type(one) for one in outcomes] == [TryLater]
        assert down
        assert seconds < 4
        assert len(road.received) == 1


@pytest.mark.parametrize("fault", [{"stops_reading_after": 1 << 18}, {"answers": False}])
def test_a_delivery_that_hangs_can_be_interrupted(buffer: Buffer, fault: dict[str, int]) -> None:
    with SlowRoad(**fault) as road:  # type: ignore[arg-type]
        forwarder, deliveries = _forwarder(road.port, buffer, 60), _queue(buffer, 24)
        threading.Timer(1.0, forwarder.interrupt).start()  # it has begun to send by then, also on a busy machine
        outcomes, seconds, down = _deliver(forwarder, deliveries)
    assert [type(one) for one in outcomes] == [TryLater]
    assert down
    assert seconds < 5


def test_a_peer_that_never_answers_the_association_can_be_interrupted(buffer: Buffer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        forwarder, deliveries = _forwarder(silent.getsockname()[1], buffer, 60), _queue(buffer)
        threading.Timer(0.5, forwarder.interrupt).start()
        outcomes, seconds, down = _deliver(forwarder, deliveries)
    assert (outcomes, down) == ([], True)
    assert seconds < 4


def test_a_duplicate_at_the_first_try_parks_and_after_a_try_that_may_have_arrived_it_is_there(buffer: Buffer) -> None:
    with SlowRoad(status=0x0111) as road:
        forwarder = _forwarder(road.port, buffer, 5)
        deliveries = _queue(buffer)
        (first,), _seconds, _down = _deliver(forwarder, deliveries)
        assert isinstance(first, Refused)
        buffer.recover()  # as after a crash: the try may have arrived
        (second,), _seconds, _down = _deliver(forwarder, buffer.claim("d", 10))
        assert isinstance(second, Accepted)
