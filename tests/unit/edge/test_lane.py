"""A lane with destinations that misbehave: nothing is lost, and one bad instance holds nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.buffer import deliveries
from edge.buffer.hand import Hand
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.buffer.transitions import Transition
from edge.buffer.view import BufferView, QueueFilter
from edge.forward import holding
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

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""

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


def test_a_person_who_asks_ends_the_rest_of_a_lane(buffer: Buffer, tmp_path: Path) -> None:
    down = True

    def sulking(_uid: str) -> Outcome:
        if down:
            raise DestinationDown("it sulks", hint="Wait.")
        return Accepted()

    forwarder = FlakyForwarder(sulking)
    lane = Lane("pacs", forwarder, buffer, HealthBoard(), Backoff(base=60, cap=60), batch=4)
    lane.start()
    deadline = time.monotonic() + 15
    while not forwarder.tried:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    down = False
    time.sleep(0.2)
    assert Hand(tmp_path).requeue(uid=None, destination="pacs", dry_run=False) == 0
    while _waiting(buffer):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lane.stop(5)


def test_a_lane_that_stops_gives_back_what_it_has_not_tried(buffer: Buffer, tmp_path: Path) -> None:
    def slow(_uid: str) -> Outcome:
        time.sleep(0.3)
        return Accepted()

    _run_until(buffer, FlakyForwarder(slow), lambda: _waiting(buffer) == 5)
    states = {one["state"] for one in BufferView(tmp_path).queue(QueueFilter())}
    assert states == {"due"}


class HiccupingBuffer:
    """A real buffer whose settling fails as often as the test says."""

    def __init__(self, real: Buffer, failures: int) -> None:
        self.real, self.failures = real, failures

    def settle_soon(self, change: Transition) -> Future[None]:
        if self.failures > 0:
            self.failures -= 1
            raise apsw.BusyError("the database is locked")
        return self.real.settle_soon(change)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("failures", [1, 4])
def test_a_database_that_fails_while_a_batch_is_settled_holds_nothing_and_forgets_no_success(
    buffer: Buffer, failures: int
) -> None:
    forwarder = FlakyForwarder(lambda _uid: Accepted())
    hiccuping: Any = HiccupingBuffer(buffer, failures)
    _run_until(hiccuping, forwarder, lambda: _waiting(buffer) == 0)
    assert sorted(forwarder.tried) == [f"1.2.{n}" for n in range(6)]


def test_while_no_outcome_can_be_written_down_sending_ends_soon(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "UNRECORDED_LIMIT", 3)
    forwarder = FlakyForwarder(lambda _uid: Accepted())
    broken: Any = HiccupingBuffer(buffer, 10_000)
    lane = Lane("pacs", forwarder, broken, HealthBoard(), Backoff(), batch=2)
    lane.start()
    _until(lambda: len(forwarder.tried) >= 2)
    time.sleep(3)
    assert len(forwarder.tried) <= 4
    broken.failures = 0
    _until(lambda: _waiting(buffer) == 0)
    lane.stop(5)
    assert set(forwarder.tried) == {f"1.2.{n}" for n in range(6)}


def test_a_database_that_fails_while_the_destination_is_down_does_not_hide_that_it_is_down(buffer: Buffer) -> None:
    def down(_uid: str) -> Outcome:
        raise DestinationDown("it is away", hint="Wait.")

    hiccuping: Any = HiccupingBuffer(buffer, 3)
    forwarder = FlakyForwarder(down)
    health = _run_until(hiccuping, forwarder, lambda: len(forwarder.tried) > 2)
    assert [one.code for one in health.current()] == ["destination-down"]


def test_one_delivery_that_cannot_be_given_back_hides_nothing_and_holds_no_other(buffer: Buffer) -> None:
    tried: list[str] = []

    class Meddling(FlakyForwarder):
        def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
            if not tried:
                buffer.settle(deliveries[0].delivery_id, DeliveryEvent.REFUSED)
            tried.extend(one.sealed.sop_instance_uid for one in deliveries)
            raise DestinationDown("it is away", hint="Wait.")

    health = _run_until(buffer, Meddling(lambda _uid: Accepted()), lambda: len(tried) >= 8)
    assert [one.code for one in health.current()] == ["destination-down"]
    assert tried[4:8] == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]


def test_a_batch_that_takes_longer_than_its_lease_keeps_it(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "LEASE", timedelta(seconds=0.6))

    def slow(_uid: str) -> Outcome:
        time.sleep(0.3)
        expired.append(buffer.expire_leases())
        return Accepted()

    expired: list[int] = []
    forwarder = FlakyForwarder(slow)
    lane = Lane("pacs", forwarder, buffer, HealthBoard(), Backoff(), batch=6, renew_seconds=0.1)
    lane.start()
    _until(lambda: _waiting(buffer) == 0)
    lane.stop(5)
    assert sorted(forwarder.tried) == [f"1.2.{n}" for n in range(6)]
    assert sum(expired) == 0


def test_an_object_that_takes_longer_than_its_lease_is_sent_once(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "LEASE", timedelta(seconds=0.1))

    def slow(_uid: str) -> Outcome:
        time.sleep(0.3)
        buffer.expire_leases()
        return Accepted()

    forwarder = FlakyForwarder(slow)
    _run_until(buffer, forwarder, lambda: _waiting(buffer) == 0)
    assert sorted(forwarder.tried) == [f"1.2.{n}" for n in range(6)]


def test_a_lane_that_was_left_behind_no_longer_says_that_its_destination_is_down(buffer: Buffer) -> None:
    left = threading.Event()

    def hanging(_uid: str) -> Outcome:
        left.wait(10)
        raise DestinationDown("it hung", hint="Look.")

    health = HealthBoard()
    lane = Lane("pacs", FlakyForwarder(hanging), buffer, health, Backoff(), batch=4)
    lane.start()
    time.sleep(0.2)
    lane.stop(0.1)
    assert lane.alive()
    left.set()
    _until(lambda: not lane.alive())
    assert health.current() == ()


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
