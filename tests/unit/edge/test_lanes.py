"""The lanes that a policy asks for, when destinations hang: nobody waits for one after the other."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge import metrics
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.buffer.transitions import Transition
from edge.forward.lanes import Lanes
from edge.health import HealthBoard
from edge.model import DicomDestination
from edge.settings import EdgeSettings
from tests.byte_sink import ByteSink
from tests.edge_samples import routed, take

NAMES = [f"P{n}" for n in range(4)]


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def hung() -> Iterator[list[DicomDestination]]:
    """Destinations that take a connection and never say a word."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in NAMES]
        for one in listeners:
            one.bind(("127.0.0.1", 0))
            one.listen()
        ports = [one.getsockname()[1] for one in listeners]
        yield [
            DicomDestination(name=name, host="127.0.0.1", port=port, ae_title="PACS")
            for name, port in zip(NAMES, ports, strict=True)
        ]


@pytest.fixture
def health() -> HealthBoard:
    return HealthBoard()


@pytest.fixture
def lanes(buffer: Buffer, health: HealthBoard, hung: list[DicomDestination]) -> Lanes:
    """Lanes that hang in each of these destinations."""
    buffer.admit([routed(take(buffer), *NAMES)])
    opened = Lanes(EdgeSettings(data_dir=Path("unused")), buffer, health, grace_seconds=0.3)
    opened.match(hung)
    time.sleep(0.5)
    return opened


def test_a_policy_without_the_hung_destinations_is_in_force_at_once(lanes: Lanes, health: HealthBoard) -> None:
    began = time.monotonic()
    lanes.match([])
    assert time.monotonic() - began < 3
    assert health.current() == ()
    time.sleep(0.5)
    assert health.current() == ()  # what was left behind says nothing afterwards


def test_stopping_does_not_wait_for_a_policy_change_that_waits_for_hung_destinations(lanes: Lanes) -> None:
    change = threading.Thread(target=lanes.match, args=([],))
    change.start()
    began = time.monotonic()
    lanes.stop()
    assert time.monotonic() - began < 3
    change.join(5)


def test_lanes_that_hang_end_when_they_are_stopped_and_give_back_what_they_held(lanes: Lanes, buffer: Buffer) -> None:
    lanes.stop()
    time.sleep(0.5)
    assert [one.name for one in threading.enumerate() if one.name.startswith("lane-")] == []
    assert {name: len(buffer.claim(name, 10)) for name in NAMES} == dict.fromkeys(NAMES, 1)


def test_nothing_starts_after_the_lanes_were_stopped(lanes: Lanes, hung: list[DicomDestination]) -> None:
    lanes.stop()
    lanes.match(hung)
    assert [one.name for one in threading.enumerate() if one.name.startswith("lane-")] == []


def test_a_destination_that_is_gone_has_no_condition_and_no_gauge(
    buffer: Buffer, health: HealthBoard, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    buffer.admit([routed(take(buffer), "gone")])
    lanes = Lanes(EdgeSettings(data_dir=tmp_path), buffer, health)
    lanes.match([DicomDestination(name="gone", host="127.0.0.1", port=port, ae_title="PACS")])
    deadline = time.monotonic() + 10
    while not health.current():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert metrics.REGISTRY.get_sample_value("skerry_edge_destination_up", {"destination": "gone"}) == 0
    lanes.match([])
    assert health.current() == ()
    assert metrics.REGISTRY.get_sample_value("skerry_edge_destination_up", {"destination": "gone"}) is None
    lanes.stop()


def test_a_destination_that_is_asked_no_longer_has_what_it_acknowledged_even_what_an_older_lane_tells_late(
    buffer: Buffer, tmp_path: Path
) -> None:
    settings = EdgeSettings(data_dir=tmp_path, verify_after_seconds=3600)
    lanes = Lanes(settings, buffer, HealthBoard())
    try:
        with ByteSink() as sink:
            asked = DicomDestination(name="pacs", host="127.0.0.1", port=sink.port, ae_title="SINK", verify="find")
            buffer.admit([routed(take(buffer), "pacs")])
            lanes.match([asked])
            _wait(lambda: _states(buffer) == {"verifying": 1})
            lanes.match([replace(asked, verify="none")])
            _wait(lambda: _states(buffer) == {"delivered": 1})
            lanes.match([])
            buffer.admit([routed(take(buffer, "1.2.3.5"), "pacs")])
            (late,) = buffer.claim("pacs", 1)
            lanes.match([replace(asked, verify="none")])
            change = Transition(
                delivery_id=late.delivery_id,
                event=DeliveryEvent.UNPROVEN,
                not_before=datetime.now(UTC) + timedelta(seconds=0.1),
                sent_as=("1.2", "1.3", "1.2.3.5"),
            )
            buffer.settle_soon(change).result()
            _wait(lambda: _states(buffer) == {"delivered": 2})
    finally:
        lanes.stop()


def test_a_destination_that_is_never_asked_costs_no_thread(buffer: Buffer, hung: list[DicomDestination]) -> None:
    lanes = Lanes(EdgeSettings(data_dir=Path("unused")), buffer, HealthBoard(), grace_seconds=0.3)
    lanes.match(hung)
    try:
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("verify-")]
    finally:
        lanes.stop()


def _states(buffer: Buffer) -> dict[str, int]:
    found: dict[str, int] = {}
    for (state, _priority), count in buffer.tally().items():
        found[state] = found.get(state, 0) + count
    return {state: count for state, count in found.items() if count}


def _wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
