"""Retention by watermarks: delivered studies leave a full disk oldest first, and nothing else ever does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.buffer.eviction import HeldStudy, plan
from edge.buffer.slot_maker import SlotMaker
from edge.buffer.states import UNFINISHED, DeliveryEvent
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.health import DISK_ABOVE_MARK, HealthBoard
from edge.housekeeping import Housekeeping
from edge.model import RoutedInstance, SealedInstance
from edge.policy.document import Policy, check_policy, load_policy
from edge.watermarks import Watermarks
from tests.edge_samples import routed, take

MARKS = Watermarks(high=80, low=70)
KEPT = "skerry: 1\ndestinations: []\nroutes: []\nretention: {{{}}}\n"

held_studies = st.lists(
    st.builds(
        HeldStudy, study=st.text("ab", max_size=4), last_arrival=st.integers(0, 9), evictable_bytes=st.integers(0, 50)
    ),
    max_size=12,
    unique_by=lambda one: one.study,
)


@given(studies=held_studies, excess=st.integers(-5, 300))
def test_a_plan_takes_the_oldest_studies_and_no_more_than_it_needs(studies: list[HeldStudy], excess: int) -> None:
    by_name = {one.study: one for one in studies}
    chosen = [by_name[name] for name in plan(studies, excess)]
    left = [one for one in studies if one not in chosen and one.evictable_bytes > 0]
    assert all(one.evictable_bytes > 0 for one in chosen)
    assert all(one.last_arrival <= other.last_arrival for one in chosen for other in left)
    gone = sum(one.evictable_bytes for one in chosen)
    assert gone >= excess or not left
    assert not chosen or gone - chosen[-1].evictable_bytes < excess


@given(
    total=st.integers(1, 10**6),
    share=st.integers(0, 100),
    least=st.integers(0, 1000),
    marks=st.integers(11, 99).map(lambda high: Watermarks(high=high, low=high - 10)),
)
def test_nothing_has_to_go_below_the_high_mark_and_then_all_down_to_the_low_one(
    total: int, share: int, least: int, marks: Watermarks
) -> None:
    free = total * share // 100
    excess = marks.excess(free=free, total=total, least_free=least)
    used = total - free
    assert (excess > 0) <= (used * 100 > total * marks.high or free < least)
    if used * 100 > total * marks.high:
        assert used - excess <= total * marks.low // 100
        assert free + excess >= min(2 * least, total) or excess >= used - total * marks.low // 100


class Disk:
    """A buffer on a disk of a hundred blocks, each of the size of one instance."""

    def __init__(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data_dir, self.buffer, self.health = data_dir, Buffer(data_dir), HealthBoard()
        self.block, self.least_blocks = 0, 5
        monkeypatch.setattr(self.buffer.spool, "room", self.room)
        self.policy: Policy = load_policy(KEPT.format("keep_delivered: 24h, high_water: 80%, low_water: 70%"))

    def room(self) -> tuple[int, int]:
        on_disk = len([one for one in (self.data_dir / "spool").rglob("*.dcm") if one.stat().st_size])
        return (100 - on_disk) * self.block, 100 * self.block

    def admit(self, study: str, count: int, *destinations: str) -> None:
        for _number in range(count):
            sealed = take(self.buffer, f"1.2.{_next()}")
            self.block = self.block or sealed.data_set_offset + sealed.data_set_length
            self.buffer.admit([self._of(study, sealed, *destinations)])

    def deliver(self, destination: str) -> None:
        for held in self.buffer.claim(destination, 1000):
            self.buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)

    def give_room_back(self) -> None:
        slots = SlotMaker(self.data_dir / "spool", self.buffer.slots, 0)
        least = self.least_blocks * self.block
        keeper = Housekeeping(
            self.buffer, self.health, lambda: self.policy, has_centre=False, min_free_bytes=least, slots=slots
        )
        keeper._give_room_back(self.policy)
        slots.close()

    def held(self) -> dict[str, int]:
        """How many instances of each study lie on the disk."""
        found: dict[str, int] = {}
        view = BufferView(self.data_dir)
        for number in range(1, _last[0] + 1):
            try:
                (one,) = view.trace(f"1.2.{number}")
            except Exception:
                continue
            if self.buffer.spool.contains(one["instance_id"]):
                found[one["study_instance_uid"]] = found.get(one["study_instance_uid"], 0) + 1
            else:
                assert not {each["state"] for each in one["deliveries"]} & UNFINISHED
                assert one["deliveries"], "what goes nowhere was never delivered"
        return found

    def _of(self, study: str, sealed: SealedInstance, *destinations: str) -> RoutedInstance:
        return dataclasses.replace(routed(sealed, *destinations), study_instance_uid=study)


_last = [0]


def _next() -> int:
    _last[0] += 1
    return _last[0]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    _last[0] = 0
    made = Disk(tmp_path, monkeypatch)
    yield made
    made.buffer.close()


def test_above_the_high_mark_delivered_studies_leave_oldest_first_down_to_the_low_one(disk: Disk) -> None:
    for study in ("1.1", "1.2", "1.3", "1.4"):
        disk.admit(study, 20, "pacs")
        disk.deliver("pacs")
    disk.give_room_back()
    assert disk.held() == {"1.1": 20, "1.2": 20, "1.3": 20, "1.4": 20}  # 80 of 100 is not above
    disk.admit("1.1", 1, "pacs")  # the first study is no longer the oldest
    disk.deliver("pacs")
    disk.give_room_back()
    assert disk.held() == {"1.1": 21, "1.3": 20, "1.4": 20}


def test_a_disk_full_of_undelivered_images_deletes_none_of_them(disk: Disk) -> None:
    disk.admit("1.1", 30, "pacs")
    disk.admit("1.2", 30, "pacs", "archive")
    disk.admit("1.3", 36)  # no route takes them
    disk.deliver("archive")
    for _round in range(3):
        disk.give_room_back()
    assert disk.held() == {"1.1": 30, "1.2": 30, "1.3": 36}
    (told,) = disk.health.current()
    assert told.code == DISK_ABOVE_MARK.code
    assert "96 % full, above 80 %, and nothing delivered is left to go" in told.text


def test_of_a_study_only_what_is_delivered_everywhere_leaves(disk: Disk) -> None:
    disk.admit("1.1", 40, "pacs")
    disk.deliver("pacs")
    disk.admit("1.1", 50, "pacs")
    disk.give_room_back()
    assert disk.held() == {"1.1": 50}


def test_a_policy_without_marks_lets_all_stay_as_before(disk: Disk) -> None:
    disk.policy = load_policy(KEPT.format("keep_delivered: 24h"))
    disk.admit("1.1", 90, "pacs")
    disk.deliver("pacs")
    disk.give_room_back()
    assert disk.held() == {"1.1": 90}


@settings(max_examples=25, deadline=None)
@given(
    studies=st.lists(
        st.tuples(st.sampled_from(["1.1", "1.2", "1.3", ""]), st.integers(1, 12), st.booleans()), min_size=1, max_size=8
    ),
    marks=st.sampled_from([(20, 10), (50, 30), (90, 40)]),
)
def test_whatever_comes_nothing_undelivered_leaves(
    tmp_path_factory: pytest.TempPathFactory, studies: list[tuple[str, int, bool]], marks: tuple[int, int]
) -> None:
    _last[0] = 0
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(tmp_path_factory.mktemp("disk"), patch)
        try:
            disk.policy = dataclasses.replace(disk.policy, watermarks=Watermarks(high=marks[0], low=marks[1]))
            undelivered: dict[str, int] = {}
            for study, count, delivered in studies:
                destination = "pacs" if delivered else "away"
                disk.admit(study, count, destination)
                undelivered[study] = undelivered.get(study, 0) + (0 if delivered else count)
                disk.deliver("pacs")
                disk.give_room_back()
                held = disk.held()  # looks at each one that left
                assert all(held.get(name, 0) >= kept for name, kept in undelivered.items())
                total = sum(held.values())
                assert total <= marks[0] or total == sum(undelivered.values())
        finally:
            disk.buffer.close()


def test_what_is_kept_as_long_as_there_is_room() -> None:
    policy = load_policy(KEPT.format("keep_delivered: 1h, keep_recent: 14d, high_water: 80%"))
    assert policy.keep_delivered == timedelta(days=14)
    assert policy.watermarks == MARKS
    assert load_policy(KEPT.format("keep_delivered: 1h")).watermarks is None


@pytest.mark.parametrize(
    ("section", "severity", "column", "message"),
    [
        ("keep_recent: 14d", "error", 26, "`keep_recent` needs `high_water`"),
        ("low_water: 14%", "error", 24, "`low_water` needs `high_water`"),
        ("high_water: 70%, low_water: 70%", "error", 41, "`low_water` must be below `high_water`, 70%"),
        ("high_water: 70", "error", 25, "`high_water` must be"),
        ("high_water: 5%", "error", 25, "`high_water` must be"),
        ("high_water: 80%, keep_recent: 4000d", "error", 43, "`keep_recent` must be at most 3650d"),
        ("high_water: 80%, keep_recent: 1h", "warning", 43, "`keep_recent` is not longer than `keep_delivered`"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(section: str, severity: str, column: int, message: str) -> None:
    (found,) = check_policy(KEPT.format(section))
    assert (found.severity, found.line, found.column) == (severity, 4, column)
    assert found.message.startswith(message)
