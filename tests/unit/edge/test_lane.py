"""A lane with destinations that misbehave: nothing is lost, and one bad instance holds nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.buffer.view import BufferView, QueueFilter
from edge.forward.base import Accepted, DestinationDown, Outcome, Refused, Settle, TryLater
from edge.forward.lane import Lane
from edge.forward.retry import Backoff
from edge.health import HealthBoard
from edge.model import ClaimedDelivery
from tests.edge_samples import routed, take


class FlakyForwarder:
    """Does with each instance what the test says."""

    def __init__(self, behaviour: Callable[[str], Outcome]) -> None:
        self.behaviour = behaviour
        self.tried: list[str] = []

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        for delivery in deliveries:
            self.tried.append(delivery.sealed.sop_instance_uid)
            settle(delivery, self.behaviour(delivery.sealed.sop_instance_uid))

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    opened.admit([routed(take(opened, f"1.2.{n}"), "pacs") for n in range(6)])
    yield opened
    opened.close()


def _run_until(buffer: Buffer, forwarder: FlakyForwarder, done: Callable[[], bool]) -> HealthBoard:
    health = HealthBoard()
    lane = Lane("pacs", forwarder, buffer, health, Backoff(base=0.02, cap=0.1), batch=4)
    lane.start()
    deadline = time.monotonic() + 15
    while not done():
        assert time.monotonic() < deadline, buffer.counts()
        assert lane.alive()
        time.sleep(0.02)
    lane.stop(5)
    return health


def _waiting(buffer: Buffer) -> int:
    return buffer.counts().deliveries_waiting


def test_every_delivery_ends_however_often_the_destination_falters(buffer: Buffer) -> None:
    falters = iter([True, False, True, True, False] * 100)

    def faltering(_uid: str) -> Outcome:
        return TryLater(reason="busy", status=0xA700) if next(falters) else Accepted()

    _run_until(buffer, FlakyForwarder(faltering), lambda: _waiting(buffer) == 0)
    assert buffer.counts().deliveries_parked == 0


def test_a_refused_instance_parks_with_its_reason_and_the_others_are_delivered(buffer: Buffer, tmp_path: Path) -> None:
    def picky(uid: str) -> Outcome:
        return Refused(reason="not for us", status=0xA900) if uid == "1.2.3" else Accepted()

    _run_until(buffer, FlakyForwarder(picky), lambda: _waiting(buffer) == 0)
    (parked,) = BufferView(tmp_path).queue(QueueFilter(state="parked"))
    assert (parked["sop_instance_uid"], parked["reason"], parked["dimse_status"]) == ("1.2.3", "not for us", 0xA900)


def test_an_instance_that_breaks_the_sender_itself_holds_no_other(buffer: Buffer) -> None:
    def broken(uid: str) -> Outcome:
        if uid == "1.2.0":
            raise RuntimeError("a fault of ours")
        return Accepted()

    _run_until(buffer, FlakyForwarder(broken), lambda: _waiting(buffer) == 1)


def test_while_the_destination_is_down_nothing_costs_a_try_and_the_reason_is_said(
    buffer: Buffer, tmp_path: Path
) -> None:
    down = True

    def sulking(_uid: str) -> Outcome:
        if down:
            raise DestinationDown("it refuses our AE title", hint="Ask them to add SKERRY.")
        return Accepted()

    forwarder = FlakyForwarder(sulking)
    health = _run_until(buffer, forwarder, lambda: len(forwarder.tried) > 5)
    (condition,) = health.current()
    assert condition.code == "destination-down"
    assert "it refuses our AE title" in condition.text
    assert condition.hint == "Ask them to add SKERRY."
    assert {one["attempts"] for one in BufferView(tmp_path).queue(QueueFilter())} == {0}
    down = False
    cleared = _run_until(buffer, FlakyForwarder(sulking), lambda: _waiting(buffer) == 0)
    assert cleared.current() == ()


def test_a_lane_that_stops_gives_back_what_it_has_not_tried(buffer: Buffer, tmp_path: Path) -> None:
    def slow(_uid: str) -> Outcome:
        time.sleep(0.3)
        return Accepted()

    _run_until(buffer, FlakyForwarder(slow), lambda: _waiting(buffer) == 5)
    states = {one["state"] for one in BufferView(tmp_path).queue(QueueFilter())}
    assert states == {"due"}
