"""Where contestants meet: their folders, the order of turns, and how often."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.data import DataSets

Say = Callable[[str], None]
Turn = Callable[[], tuple[float, ...]]
"""One contestant's turn: the figures that were taken in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What all rows of one run share."""

    folder: Path
    data: DataSets
    pairs: int
    scale: float
    watch_seconds: float
    """How long an idle node is watched."""
    rest_seconds: float
    """How long a node is left alone before its memory is looked at."""
    prepares: bool
    """Whether each turn waits for what a node prepares in the background."""
    held: int
    """Instances of the big buffer."""
    say: Say

    @contextmanager
    def fresh_folder(self) -> Iterator[Path]:
        """A folder for one turn, gone after it, so that nobody's dirty pages are written in the next one's time."""
        runs = self.folder / "run"
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="turn-", dir=runs, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def scaled(self, count: int, *, least: int = 1) -> int:
        """A number of this run's scale."""
        return max(least, round(count * self.scale))

    def alternate(self, ours: Turn, peer: Turn) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
        """The figures of both, turn by turn; who begins changes with every pair."""
        sides: dict[str, list[tuple[float, ...]]] = {"ours": [], "peer": []}
        turns = [("ours", ours), ("peer", peer)]
        for number in range(self.pairs):
            for name, turn in turns if number % 2 == 0 else turns[::-1]:
                sides[name].append(turn())
            last = (f"{name} {' '.join(f'{value:.4g}' for value in taken[-1])}" for name, taken in sides.items())
            self.say(f"  pair {number + 1}: {', '.join(last)}")
        return sides["ours"], sides["peer"]


def settle_disks() -> None:
    """Let the disks finish what earlier turns and the warm-up left to them."""
    os.sync()
