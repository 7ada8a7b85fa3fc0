"""The outage clock: an honest hour, and silence while nothing is known."""

from __future__ import annotations

from edge.inflow import Inflow, outage_seconds


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_young_node_says_nothing() -> None:
    watch = Watch()
    inflow = Inflow(monotonic=watch)
    inflow.note(1 << 30)
    watch.now += 60
    assert inflow.bytes_per_hour() == 0


def test_the_first_hour_is_projected_from_the_time_that_there_was() -> None:
    watch = Watch()
    inflow = Inflow(monotonic=watch)
    for _ in range(30):
        inflow.note(1_000_000)
        watch.now += 60
    assert inflow.bytes_per_hour() == 60_000_000


def test_what_is_older_than_an_hour_does_not_count() -> None:
    watch = Watch()
    inflow = Inflow(monotonic=watch)
    for _ in range(180):
        inflow.note(500)
        inflow.note(500)
        watch.now += 60
    assert inflow.bytes_per_hour() == 60 * 1000
    watch.now += 3601
    assert inflow.bytes_per_hour() == 0


def test_the_room_lasts_as_long_as_the_inflow_lets_it() -> None:
    assert outage_seconds(room_bytes=48 << 30, bytes_per_hour=1 << 30) == 48 * 3600
    assert outage_seconds(room_bytes=-5, bytes_per_hour=1) == 0
    assert outage_seconds(room_bytes=1 << 40, bytes_per_hour=0) == 0
