"""A spool with slots in it, for tests of what goes on below the buffer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.buffer import slot_file
from edge.buffer.intake import Intake
from edge.buffer.shelves import Shelf
from edge.buffer.slots import SIZES
from edge.buffer.store import Buffer


def add_slots(data_dir: Path, count: int, size: int = SIZES[0]) -> list[str]:
    """Wiped slots that the index knows; their names."""
    buffer = Buffer(data_dir, ready_bytes=1 << 30)
    made = wiped_slots(data_dir, count, size)
    buffer.slots.add(made)
    buffer.scanned()
    buffer.close()
    return [slot for slot, _size in made]


def wiped_slots(data_dir: Path, count: int, size: int) -> list[tuple[str, int]]:
    """Wiped slots that no index knows yet; their names and sizes."""
    shelf = Shelf(data_dir / "spool")
    made = []
    for _ in range(count):
        new = shelf.new_file()
        assert new is not None
        slot_file.wipe(new[1], size)
        os.close(new[1])
        made.append((new[0], size))
    shelf.sync()
    shelf.close()
    return made


@contextmanager
def intake_on(data_dir: Path, *, ready: int = 0, size: int = SIZES[0]) -> Iterator[Intake]:
    """An intake that has at least `ready` slots of this size open."""
    intake = Intake(data_dir)
    intake.start()
    try:
        wait_ready(intake, ready, size)
        yield intake
    finally:
        intake.stop()


def wait_ready(intake: Intake, ready: int, size: int = SIZES[0]) -> None:
    """Return when so many slots are open."""
    deadline = time.monotonic() + 10
    while intake.ready(size) < ready:
        assert time.monotonic() < deadline, "no slots were fetched"
        time.sleep(0.01)
