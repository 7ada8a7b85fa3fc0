"""A policy that a person placed runs for its time and no longer, whatever the wall clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.health import HealthBoard
from edge.overriding import Overriding
from edge.policy.document import Policy
from edge.policy_override import Override, OverrideFiles, placed, used_at_start

TEXT = "skerry: 1\ndestinations: []\nroutes: []\n"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Bench:
    """A node's side with two clocks: the wall's, which people set, and the one that only goes on."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.files = data_dir, OverrideFiles(data_dir)
        self.board = HealthBoard()
        self.wall, self.steady = START, 500.0
        self.used: list[Policy | None] = []
        self.audit: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.node = Overriding(
            self.data_dir,
            health=self.board,
            use=self.used.append,
            audit=lambda action, _reason: self.audit.append(action),
            now=lambda: self.wall,
            monotonic=lambda: self.steady,
        )
        self.node.step()

    def stop(self) -> None:
        """A clean end: nothing of the thread was started."""
        self.node.stop()

    def place(self, hours: float = 4, text: str = TEXT) -> Override:
        new = placed(text, by="anna", seconds=hours * 3600, reason="the centre is away", now=self.wall)
        self.files.place(new)
        self.node.step()
        return new

    def pass_time(self, hours: float) -> None:
        """In steps, as the thread looks."""
        for _ in range(int(hours * 60)):
            self.wall, self.steady = self.wall + timedelta(minutes=1), self.steady + 60
            self.node.step()

    def runs(self) -> bool:
        return self.node.current is not None

    def codes(self) -> set[str]:
        return {one.code for one in self.board.current()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_it_runs_for_its_time_and_then_ends_by_itself(bench: Bench) -> None:
    bench.place(hours=4)
    assert bench.runs()
    assert bench.codes() == {"policy-overridden"}
    bench.pass_time(3.9)
    assert bench.runs()
    bench.pass_time(0.2)
    assert not bench.runs()
    assert [policy is None for policy in bench.used] == [False, True]
    assert (bench.codes(), bench.audit, bench.files.read()) == (set(), ["override expired"], None)


def test_a_person_ends_it_before(bench: Bench) -> None:
    bench.place()
    bench.files.end()
    bench.node.step()
    assert not bench.runs()
    assert bench.used[-1] is None
    assert bench.audit == []  # the command wrote that down


def test_another_one_takes_its_place_with_a_time_of_its_own(bench: Bench) -> None:
    bench.place(hours=1)
    bench.pass_time(0.9)
    bench.place(hours=1, text=TEXT + "# another\n")
    bench.pass_time(0.9)
    assert bench.runs()
    assert [policy is None for policy in bench.used] == [False, False]
    bench.pass_time(0.2)
    assert not bench.runs()


def test_its_time_goes_on_over_restarts_and_while_the_box_is_off(bench: Bench) -> None:
    bench.place(hours=4)
    bench.pass_time(2)
    bench.wall += timedelta(hours=1)  # off
    bench.steady = 0.0  # a new boot
    bench.restart()
    assert bench.runs()
    bench.pass_time(0.9)
    assert bench.runs()
    bench.pass_time(0.2)
    assert not bench.runs()


def test_one_that_expired_while_the_box_was_off_does_not_run_again(bench: Bench) -> None:
    bench.place(hours=4)
    bench.wall += timedelta(hours=5)
    bench.restart()
    assert not bench.runs()
    assert bench.used[-1] is None


@pytest.mark.parametrize("jump", [timedelta(days=-3000), timedelta(days=3000), timedelta(hours=-2)])
def test_a_wall_clock_that_jumps_while_it_runs_changes_nothing(bench: Bench, jump: timedelta) -> None:
    bench.place(hours=4)
    bench.pass_time(1)
    bench.wall += jump
    bench.pass_time(2.9)
    assert bench.runs()
    bench.pass_time(0.2)
    assert not bench.runs()


def test_a_clock_that_was_set_back_while_the_box_was_off_never_gives_more_than_the_whole_time(bench: Bench) -> None:
    bench.place(hours=4)
    bench.pass_time(1)
    bench.wall -= timedelta(days=3000)
    bench.restart()
    bench.pass_time(2.9)
    assert bench.runs()
    bench.pass_time(0.2)
    assert not bench.runs()


def test_time_never_runs_backwards() -> None:
    assert used_at_start(noted=60, noted_at=START, now=START - timedelta(days=1)) == 60
    assert used_at_start(noted=60, noted_at=START, now=START + timedelta(seconds=5)) == 65


def test_what_this_version_cannot_run_is_not_run(bench: Bench) -> None:
    bench.place(text="skerry: 1\nroutes: 7\n")
    assert not bench.runs()
    assert bench.used == []


@pytest.mark.parametrize("text", ["{", "[]", '{"number": 1}'])
def test_an_unreadable_file_is_no_override(bench: Bench, text: str) -> None:
    bench.place()
    (bench.data_dir / "policy" / "override.json").write_text(text)
    bench.node.step()
    assert not bench.runs()
