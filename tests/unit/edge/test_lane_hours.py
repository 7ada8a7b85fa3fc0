"""A lane with hours: outside of them only what is urgent goes, and nobody takes that for a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.buffer.view import BufferView, QueueFilter
from edge.forward.base import Accepted, Settle
from edge.forward.lane import Lane
from edge.forward.retry import Backoff
from edge.health import HealthBoard
from edge.model import ClaimedDelivery, Priority
from edge.window import Window
from tests.clocks import JumpingClock
from tests.edge_samples import routed, take

HOURS = Window(start="00:10", end="00:20", zone="UTC")
"""Ten minutes after the clock of the test begins."""


class Noting:
    """Takes everything, a minute for each, and notes when."""

    def __init__(self, clock: JumpingClock) -> None:
        self.clock = clock
        self.taken: dict[str, datetime] = {}

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        for one in deliveries:
            self.taken[one.sealed.sop_instance_uid] = self.clock.now()
            self.clock.wait(lambda _seconds: None, 60)
            settle(one, Accepted())

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def buffer(tmp_path: Path, clock: JumpingClock) -> Iterator[Buffer]:
    opened = Buffer(tmp_path, clock=clock)
    yield opened
    opened.close()


def _admit(buffer: Buffer, *uids: str, priority: Priority = Priority.NORMAL) -> None:
    for uid in uids:
        one = routed(take(buffer, uid), "cloud")
        buffer.admit([replace(one, decision=replace(one.decision, priorities={"cloud": priority}))])


def _run(buffer: Buffer, forwarder: Noting, window: Window, done: Callable[[], bool]) -> HealthBoard:
    health = HealthBoard()
    lane = Lane("cloud", forwarder, buffer, health, Backoff(), batch=100, window=window)
    lane.start()
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, forwarder.taken
        assert lane.alive()
        time.sleep(0.005)
    lane.stop(5)
    return health


def test_outside_its_hours_only_the_urgent_goes(buffer: Buffer, clock: JumpingClock) -> None:
    _admit(buffer, "1.2.1", "1.2.2")
    _admit(buffer, "1.2.9", priority=Priority.STAT)
    forwarder = Noting(clock)
    health = _run(buffer, forwarder, HOURS, lambda: buffer.counts().deliveries_waiting == 0)
    assert forwarder.taken["1.2.9"] < datetime.fromisoformat("2026-03-01T00:01Z")
    for uid in ("1.2.1", "1.2.2"):
        assert forwarder.taken[uid] >= datetime.fromisoformat("2026-03-01T00:10Z")
    assert health.current() == ()


def test_the_urgent_waits_too_where_the_policy_says_so(buffer: Buffer, clock: JumpingClock) -> None:
    _admit(buffer, "1.2.9", priority=Priority.STAT)
    forwarder = Noting(clock)
    _run(buffer, forwarder, replace(HOURS, stat_passes=False), lambda: buffer.counts().deliveries_waiting == 0)
    assert forwarder.taken["1.2.9"] >= datetime.fromisoformat("2026-03-01T00:10Z")


def test_what_is_not_sent_when_it_closes_waits_for_the_next_opening(buffer: Buffer, clock: JumpingClock) -> None:
    uids = [f"1.2.{number}" for number in range(12)]  # a minute each, and ten minutes
    _admit(buffer, *uids)
    forwarder = Noting(clock)
    _run(buffer, forwarder, HOURS, lambda: clock.now() > datetime.fromisoformat("2026-03-01T00:30Z"))
    assert 9 <= len(forwarder.taken) <= 11
    assert all(moment.hour == 0 and 10 <= moment.minute < 20 for moment in forwarder.taken.values())
    assert buffer.counts().deliveries_waiting == len(uids) - len(forwarder.taken)


def test_people_see_when_it_opens(buffer: Buffer, clock: JumpingClock, tmp_path: Path) -> None:
    _admit(buffer, "1.2.1")
    _run(buffer, Noting(clock), HOURS, lambda: clock.passed() > 60)
    (waiting,) = BufferView(tmp_path).queue(QueueFilter())
    assert waiting["reason"] == "closed, opens at 00:10 (UTC)"
