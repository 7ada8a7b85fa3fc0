"""Slots that are made while nothing happens: what sizes, how many, and never too many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer import slot_maker
from edge.buffer.slot_maker import SlotMaker, missing, wanted
from edge.buffer.slots import SIZES
from edge.buffer.store import Buffer
from tests.edge_samples import routed, take

BUDGET = 4 << 20


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path, ready_bytes=BUDGET)
    yield opened
    opened.close()


@pytest.fixture
def maker(buffer: Buffer, tmp_path: Path) -> Iterator[SlotMaker]:
    made = SlotMaker(tmp_path / "spool", buffer.slots, BUDGET)
    yield made
    made.close()


def test_slots_are_made_when_nothing_came_in_between_two_rounds(buffer: Buffer, maker: SlotMaker) -> None:
    assert maker.round() == 0
    assert maker.round() > 0
    buffer.admit([routed(take(buffer))])
    assert maker.round() == 0


def test_what_is_made_stays_within_its_bounds(buffer: Buffer, maker: SlotMaker) -> None:
    for _ in range(5):
        maker.round()
    assert BUDGET * 0.7 < buffer.slots.empty_bytes() <= BUDGET
    assert maker.round() == 0


def test_what_is_missing_is_what_the_next_rounds_make(buffer: Buffer, maker: SlotMaker) -> None:
    missing_at_first = maker.missing_bytes()
    while maker.missing_bytes():
        maker.round()
    assert missing_at_first == buffer.slots.empty_bytes() > 0


def test_a_round_writes_only_so_much(buffer: Buffer, maker: SlotMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_maker, "ROUND_BYTES", 1 << 20)
    maker.round()
    maker.round()
    assert 0 < buffer.slots.empty_bytes() <= 1 << 20


def test_no_more_than_a_small_part_of_the_free_disk_is_taken(
    buffer: Buffer, maker: SlotMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_maker, "room", lambda _root: (20 << 20, 100 << 20))
    for _ in range(5):
        maker.round()
    assert buffer.slots.empty_bytes() <= 1 << 20


def test_an_instance_goes_into_a_slot_that_was_made_for_it(buffer: Buffer, maker: SlotMaker, tmp_path: Path) -> None:
    maker.round()
    maker.round()
    made = {path.stem for path in (tmp_path / "spool").glob("*/*.dcm")}
    deadline = time.monotonic() + 10
    while (sealed := take(buffer, f"1.2.{time.monotonic_ns()}")).instance_id[:16] not in made:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert buffer.spool.path(sealed.instance_id).stat().st_size in SIZES
    buffer.spool.verify(sealed)


def test_the_sizes_are_those_that_came(tmp_path: Path) -> None:
    seen = wanted([520_000] * 300 + [1_000] * 300, 100 << 20)
    assert set(seen) == {SIZES[0], (1 << 19) + (32 << 10)}
    assert sum(size * count for size, count in seen.items()) <= 100 << 20
    assert wanted([100 << 20] * 300, 100 << 20) == {}, "what is larger than any slot gets a file of its own"
    assert len(wanted([], 100 << 20)) == 4


def test_the_size_that_lacks_most_is_made_first() -> None:
    assert missing({10: 9, 20: 0}, {10: 10, 20: 4, 30: 0}) == [(20, 4), (10, 1)]


def test_a_slot_that_is_made_holds_zeros_only(maker: SlotMaker, tmp_path: Path) -> None:
    maker.round()
    maker.round()
    for path in (tmp_path / "spool").glob("*/*.dcm"):
        assert not any(path.read_bytes())
        assert path.stat().st_mode & 0o077 == 0
