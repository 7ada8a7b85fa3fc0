"""The last log lines of a node: whole, in order, within bounds, whatever was written before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.recent_lines import ROOM, RecentLines, tail

ALL = 10_000_000


def _line(number: int, *, level: str = "info", pad: int = 0) -> str:
    stamp = f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.{number:06}Z"
    return json.dumps({"event": "one", "n": number, "level": level, "timestamp": stamp, "pad": "x" * pad})


def _numbers(run: Path, *, lines: int = 1000, least: str = "debug", most_bytes: int = ALL) -> list[int]:
    return [one["n"] for one in tail(run, lines=lines, least=least, most_bytes=most_bytes)]


def test_the_newest_lines_of_all_processes_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    core, door = RecentLines(tmp_path, "core"), RecentLines(tmp_path, "ingest-0")
    for number in range(0, 20, 2):
        core.add(_line(number))
        door.add(_line(number + 1))
    assert _numbers(tmp_path) == list(range(20))
    assert _numbers(tmp_path, lines=3) == [17, 18, 19]


def test_a_level_leaves_out_what_is_below_it(tmp_path: Path) -> None:
    recent = RecentLines(tmp_path, "core")
    for number, level in enumerate(("debug", "info", "warning", "error", "critical")):
        recent.add(_line(number, level=level))
    assert _numbers(tmp_path, least="warning") == [2, 3, 4]


def test_the_bytes_are_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    recent = RecentLines(tmp_path, "core")
    for number in range(50):
        recent.add(_line(number, pad=1000))
    kept = _numbers(tmp_path, most_bytes=5500)
    assert kept == list(range(50))[-len(kept) :]
    assert 0 < len(kept) <= 5


@settings(max_examples=60, deadline=None)
@given(pads=st.lists(st.integers(0, 30_000), min_size=1, max_size=40))
def test_a_ring_gives_the_newest_whole_lines_that_it_has_room_for(
    tmp_path_factory: pytest.TempPathFactory, pads: list[int]
) -> None:
    run = tmp_path_factory.mktemp("run")
    recent = RecentLines(run, "core")
    for number, pad in enumerate(pads):
        recent.add(_line(number, pad=pad))
    found = _numbers(run)
    assert found == list(range(len(pads)))[-len(found) :]
    sizes = [len(_line(number, pad=pad)) + 1 for number, pad in enumerate(pads)]
    assert len(found) == len(pads) or sum(sizes[-len(found) - 1 :]) >= ROOM


def test_what_a_process_said_outlives_it_and_the_next_of_its_name_goes_on(tmp_path: Path) -> None:
    RecentLines(tmp_path, "core").add(_line(1))
    assert _numbers(tmp_path) == [1]
    RecentLines(tmp_path, "core").add(_line(2))
    assert _numbers(tmp_path) == [1, 2]


def test_a_line_longer_than_the_ring_is_left_out_and_a_damaged_one_too(tmp_path: Path) -> None:
    recent = RecentLines(tmp_path, "core")
    recent.add("x" * (ROOM + 1))
    recent.add("{ half a li")
    recent.add("[" * 100_000)
    recent.add(_line(7))
    assert _numbers(tmp_path) == [7]


def test_no_room_for_the_ring_stops_nobody(tmp_path: Path) -> None:
    recent = RecentLines(tmp_path / "is not there", "core")
    recent.add(_line(1))
    (tmp_path / "log-odd").write_bytes(b"short")
    assert tail(tmp_path, lines=5, most_bytes=ALL) == []


def test_its_file_is_its_owners_only(tmp_path: Path) -> None:
    RecentLines(tmp_path, "core")
    assert (tmp_path / "log-core").stat().st_mode & 0o777 == 0o600
