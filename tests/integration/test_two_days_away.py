"""Two days without a destination, on a clock that jumps: all of it arrives afterwards by itself, the urgent first."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edge.buffer import writer
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.forward.base import Accepted, Outcome, Settle, TryLater
from edge.forward.lane import Lane
from edge.forward.lanes import Lanes
from edge.forward.retry import Backoff
from edge.health import DESTINATION_DOWN, Condition, HealthBoard
from edge.model import ClaimedDelivery, DicomDestination, Priority
from edge.settings import EdgeSettings
from provisioning.local.storescp import StoreScp
from tests.clocks import JumpingClock
from tests.conftest import Figures
from tests.edge_samples import routed, take
from tests.priority_order import assert_priority_order
from tests.real_programs import require

HOUR = 3600.0
AWAY = 48 * HOUR
EACH_HOUR = (Priority.BULK, Priority.NORMAL, Priority.BULK, Priority.STAT, Priority.NORMAL)
SHORTEST_PAUSE = Backoff().cap / 2


class CountingHealth(HealthBoard):
    """How often a destination was found to be down."""

    def __init__(self) -> None:
        super().__init__()
        self.found_down = 0

    def raise_condition(self, condition: Condition) -> None:
        self.found_down += condition.code == DESTINATION_DOWN.code
        super().raise_condition(condition)


class Site:
    """A buffer on a clock, and what arrives in it hour by hour."""

    def __init__(self, data_dir: Path) -> None:
        self.clock = JumpingClock()
        self.data_dir, self.buffer = data_dir, Buffer(data_dir, clock=self.clock)
        self.urgency: dict[str, Priority] = {}

    def arrive(self, *priorities: Priority) -> None:
        """One hour's images."""
        found = []
        for priority in priorities or EACH_HOUR:
            uid = f"1.2.4.{len(self.urgency)}"
            self.urgency[uid] = priority
            one = routed(take(self.buffer, uid), "pacs")
            found.append(replace(one, decision=replace(one.decision, priorities={"pacs": priority})))
        self.buffer.admit(found)

    def delivered(self) -> list[str]:
        """In the order in which it was settled."""
        events = [event.body for event in self.buffer.read_outbox(100_000)]
        return [str(body["sop_instance_uid"]) for body in events if body.get("state") == "delivered"]

    def attempts(self) -> list[int]:
        view = BufferView(self.data_dir)
        return [one["attempts"] for uid in self.urgency for found in view.trace(uid) for one in found["deliveries"]]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """In memory where there is such a disk, and no commit waits for company: two days are some ten thousand commits."""
    monkeypatch.setattr(writer, "PATIENCE_SECONDS", 0.0)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = Site(Path(folder))
        yield made
        made.buffer.close()


def until(done: Callable[[], bool], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_after_two_days_all_of_it_arrives_by_itself_and_the_urgent_first(
    site: Site, tmp_path: Path, figures: Figures
) -> None:
    require("storescp")
    pacs, health = StoreScp(tmp_path / "pacs"), CountingHealth()
    for hour in range(int(AWAY / HOUR)):
        site.clock.at(hour * HOUR, site.arrive)
    site.clock.at(AWAY, pacs.start)
    destination = DicomDestination(
        name="pacs", host="127.0.0.1", port=pacs.port, ae_title=pacs.ae_title, associations=1
    )
    lanes = Lanes(EdgeSettings(data_dir=site.data_dir, lane_batch=20), site.buffer, health)
    began = time.monotonic()
    try:
        lanes.match([destination])
        until(lambda: site.clock.passed() >= AWAY and site.buffer.counts().deliveries_waiting == 0)
        until(lambda: not health.current())
    finally:
        lanes.stop()
        pacs.stop()
    order = site.delivered()
    assert sorted(order) == sorted(site.urgency) == sorted(pacs.received())
    assert_priority_order([site.urgency[uid] for uid in order])
    for priority in Priority:  # and within one priority, who came first goes first
        same = [uid for uid in order if site.urgency[uid] is priority]
        assert same == [uid for uid in site.urgency if site.urgency[uid] is priority]
    assert site.buffer.counts().deliveries_parked == 0
    # Half a pause is the least that jitter leaves of it: a PACS that comes back is not knocked to pieces.
    assert AWAY / Backoff().cap - 1 <= health.found_down <= AWAY / SHORTEST_PAUSE + 10
    assert max(site.attempts()) == 1, "who was never tried has no attempts to its name"
    figures(
        f"two days away: {health.found_down} calls, then {len(order)} of {len(order)}, the urgent first; "
        f"{time.monotonic() - began:.0f} s of real time"
    )


class BusyUntil:
    """A destination that answers "out of resources" to everything until a moment."""

    def __init__(self, clock: JumpingClock, moment: float) -> None:
        self._clock, self._moment, self.tried, self.taken_at = clock, moment, 0, 0.0

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        for one in deliveries:
            self.tried += 1
            settle(one, self._answer())

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self) -> Outcome:
        if self._clock.passed() < self._moment:
            return TryLater(reason="out of resources", status=0xA700)
        self.taken_at = self._clock.passed()
        return Accepted()


def test_a_destination_that_is_busy_for_two_days_is_asked_about_once_a_minute_for_each_image(
    site: Site, figures: Figures
) -> None:
    site.arrive(Priority.BULK, Priority.STAT)
    busy, count = BusyUntil(site.clock, AWAY), len(site.urgency)
    lane = Lane("pacs", busy, site.buffer, HealthBoard(), Backoff(), batch=20)
    lane.start()
    until(lambda: site.clock.passed() >= AWAY and site.buffer.counts().deliveries_waiting == 0)
    lane.stop(5)
    assert sorted(site.delivered()) == sorted(site.urgency)
    assert site.buffer.counts().deliveries_parked == 0
    assert busy.tried == sum(site.attempts())
    assert AWAY / Backoff().cap / 2 <= max(site.attempts()) <= AWAY / SHORTEST_PAUSE + 10
    assert busy.taken_at <= AWAY + 2 * Backoff().cap
    told = len(site.buffer.read_outbox(100_000))
    assert told <= 4 * count, "the same refusal is told once"
    figures(f"two days busy: {busy.tried} tries for {count} images, {told} events")
