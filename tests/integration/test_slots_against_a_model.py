"""Random histories of slots: whatever is received, killed, delivered, released and recovered in whatever order,
every acknowledged instance that was not released is in the index exactly once, with its own bytes."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.buffer.intake import Intake
from edge.buffer.reception import Reception
from edge.buffer.slots import SIZES
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.model import SealedInstance
from edge.recovery import recover
from tests.edge_samples import meta, routed
from tests.edge_spool import wiped_slots

PAGE = 4096
LENGTHS = st.sampled_from([0, 1, 900, 5_000, 31_000, 32_380, 33_000, 60_000, 90_000])


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def _killed_after(calls: int | None, part: float) -> Iterator[None]:
    """The process dies in that call that changes a file, does this part of it, and nothing more."""
    if calls is None:
        yield
        return
    left = iter(range(calls))

    def dying(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(left, None) is not None:
                return real(*arguments, **named)
            if name in ("pwrite", "pwritev") and not dead:
                content = arguments[1] if name == "pwrite" else b"".join(arguments[1])
                at, end = arguments[2], arguments[2] + int(len(content) * part)
                whole_pages = end // PAGE * PAGE - at  # the kernel looks for a kill between two pages
                os_pwrite(arguments[0], content[: max(0, whole_pages)], at)
            dead.append(name)
            raise Killed

        return call

    dead: list[str] = []
    os_pwrite = os.pwrite
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pwrite", "pwritev", "ftruncate", "fdatasync", "unlink"):
            patch.setattr(os, name, dying(name, getattr(os, name)))
        yield


class SlotHistories(RuleBasedStateMachine):
    """The model: what was acknowledged and not yet released. The system: an ingest, core, and their files."""

    def __init__(self) -> None:
        super().__init__()
        self.data_dir = Path(tempfile.mkdtemp(prefix="slots-"))
        self.held: dict[str, bytes] = {}
        self.told: list[SealedInstance] = []
        self.random = random.Random(7)
        self.count = 0

    @initialize()
    def start(self) -> None:
        self.buffer = Buffer(self.data_dir, ready_bytes=1 << 20)
        self.buffer.slots.add(wiped_slots(self.data_dir, 3, SIZES[0]) + wiped_slots(self.data_dir, 2, SIZES[1]))
        self._look()
        self._start_ingest()

    @rule(length=LENGTHS, pieces=st.integers(0, 3))
    def receive(self, length: int, pieces: int) -> None:
        content = self.random.randbytes(length)
        reception, last = self._begin(content, pieces)
        sealed = reception.seal([last])
        self.held[sealed.instance_id] = content
        self.told.append(sealed)

    @rule(length=LENGTHS, pieces=st.integers(1, 3))
    def give_up(self, length: int, pieces: int) -> None:
        self._begin(self.random.randbytes(length), pieces)[0].discard()

    @rule(length=LENGTHS, pieces=st.integers(0, 2), calls=st.integers(0, 6), part=st.floats(0, 1))
    def ingest_is_killed_while_it_receives(self, length: int, pieces: int, calls: int, part: float) -> None:
        content = self.random.randbytes(length)
        try:
            with _killed_after(calls, part):
                reception, last = self._begin(content, pieces)
                sealed = reception.seal([last])
        except Killed:
            self._kill_ingest()
        else:
            self.held[sealed.instance_id] = content
            self._kill_ingest()  # its notices die with it
            self.told = [one for one in self.told if one is not sealed]
        self._start_ingest()

    @rule()
    def admit_what_was_told(self) -> None:
        told, self.told = self.told, []
        self._admit(told)

    @precondition(lambda self: self.told)
    @rule()
    def core_hears_something_twice(self) -> None:
        self._admit(self.told[:1])

    @rule(number=st.integers(1, 4))
    def deliver(self, number: int) -> None:
        for claimed in self.buffer.claim("pacs", number):
            self.buffer.spool.verify(claimed.sealed)
            self.buffer.settle(claimed.delivery_id, DeliveryEvent.ACCEPTED)

    @rule(calls=st.one_of(st.none(), st.integers(0, 3)))
    def release(self, calls: int | None) -> None:
        try:
            with _killed_after(calls, 0.5):
                self.buffer.release_delivered(timedelta(0))
        except Killed:
            self._restart_core()
        self._forget_released()

    @rule()
    def core_starts_again(self) -> None:
        self._restart_core()

    @rule()
    def the_index_is_lost(self) -> None:
        self.told.clear()
        self._kill_ingest()
        self.buffer.close()
        for path in self.data_dir.glob("edge.db*"):
            path.unlink()
        self.buffer = Buffer(self.data_dir, ready_bytes=1 << 20)
        self._look()
        self._start_ingest()
        self.buffer.slots.add(wiped_slots(self.data_dir, 2, SIZES[0]))

    @invariant()
    def no_file_is_both_held_and_empty(self) -> None:
        for shelf in self.buffer.spool.shelves():
            slots = self.buffer.spool.slots_on(shelf)
            assert not self.buffer.slots.occupied(slots).keys() & self.buffer.slots.empty_among(slots).keys()

    def teardown(self) -> None:
        try:
            self._kill_ingest()
            self._restart_core()
            rows = self.buffer._reader().execute(
                "SELECT instance_id FROM instance WHERE released_at IS NULL ORDER BY instance_id"
            )
            indexed = [row[0] for row in rows.fetchall()]
            assert set(self.held) <= set(indexed)
            assert len(indexed) == len(set(indexed))
            known = {one.sealed.instance_id: one.sealed for one in self.buffer.claim("pacs", 10_000)}
            for instance_id, content in self.held.items():
                sealed = known.get(instance_id)
                if sealed is not None:  # what was delivered is claimed no more
                    with self.buffer.spool.open_data_set(sealed) as stream:
                        assert stream.read() == content
                else:
                    assert self.buffer.spool.contains(instance_id)
            assert self.buffer.spool.damaged_count() == 0
        finally:
            self.buffer.close()
            shutil.rmtree(self.data_dir)

    def _begin(self, content: bytes, pieces: int) -> tuple[Reception, bytes]:
        self.count += 1
        reception = self.intake.begin(meta(f"1.2.{self.count}"), expected_bytes=self.random.choice([0, 20_000]))
        cut = len(content) // (pieces + 1)
        for at in range(pieces):
            reception.write([content[at * cut : (at + 1) * cut]])
        return reception, content[pieces * cut :]

    def _start_ingest(self) -> None:
        self.intake = Intake(self.data_dir)
        self.intake.start()
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline and not any(map(self.intake.ready, SIZES[:3])):
            time.sleep(0.002)

    def _kill_ingest(self) -> None:
        """All locks and open files go, as they do with a process; nothing is given back."""
        self.intake._stopping.set()
        self.intake._low.set()
        self.intake._thread.join()
        if self.intake._index is not None:
            self.intake._index.close()
        for shelf in {self.intake._first, self.intake._shelf}:
            if shelf is not None:
                shelf.close()
        _close_slot_files(self.data_dir)

    def _restart_core(self) -> None:
        if self.random.random() < 0.5:
            self.told.clear()  # what core had heard and not admitted yet
        self.buffer.close()
        self.buffer = Buffer(self.data_dir, ready_bytes=1 << 20)
        self._look()

    def _look(self) -> None:
        assert recover(self.buffer, self._admit).damaged == 0

    def _admit(self, batch: Sequence[SealedInstance]) -> int:
        return self.buffer.admit([routed(one, "pacs") for one in batch]) if batch else 0

    def _forget_released(self) -> None:
        rows = self.buffer._reader().execute("SELECT instance_id FROM instance WHERE released_at IS NOT NULL")
        for (instance_id,) in rows.fetchall():
            self.held.pop(str(instance_id), None)


def _close_slot_files(data_dir: Path) -> None:
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(entry.readlink()).startswith(f"{data_dir}/spool/") and entry.readlink().suffix == ".dcm":
                os.close(int(entry.name))


@pytest.mark.timeout(280)
def test_every_history_keeps_what_was_acknowledged() -> None:
    run_state_machine_as_test(
        SlotHistories,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
