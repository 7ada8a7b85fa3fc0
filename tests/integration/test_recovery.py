"""The start: which files are looked at, what is adopted from whom, and what a lost index gets back."""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.buffer.intake import Intake
from edge.buffer.slots import SLOTS_ON_A_SHELF
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.health import HealthBoard
from edge.model import SealedInstance
from edge.policy.document import load_policy
from edge.policy.quickstart import everything_to
from edge.recovery import Recovered, close_shelves, recover
from edge.routing import Router
from tests.conftest import Figures
from tests.edge_samples import data_set, meta, routed, take
from tests.edge_spool import add_slots, intake_on, wait_ready

NOTHING = Recovered()
READY = 1 << 30


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building thousands of instances needs no durable disk."""
    monkeypatch.setattr(os, "fdatasync", lambda _descriptor: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def open_buffer(tmp_path: Path) -> Iterator[Callable[[], Buffer]]:
    opened: list[Buffer] = []

    def open_one() -> Buffer:
        opened.append(Buffer(tmp_path, ready_bytes=READY))
        return opened[-1]

    yield open_one
    for one in opened:
        if one.alive():
            one.close()


def admit(buffer: Buffer, batch: Sequence[SealedInstance]) -> int:
    return buffer.admit([routed(one, "pacs") for one in batch])


def look(buffer: Buffer) -> Recovered:
    return recover(buffer, functools.partial(admit, buffer))


def spied_slot_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The slot files that are opened from now on."""
    seen: list[str] = []
    real = os.open

    def spy(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith(".dcm"):
            seen.append(str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", spy)
    return seen


@pytest.mark.usefixtures("no_sync")
def test_a_start_with_many_held_instances_looks_at_few_files(
    open_buffer: Callable[[], Buffer], monkeypatch: pytest.MonkeyPatch, figures: Figures, tmp_path: Path
) -> None:
    held = 20_000
    buffer = open_buffer()
    look(buffer)
    with intake_on(tmp_path) as intake:
        for start in range(0, held, 500):
            batch = [intake.begin(meta(f"1.2.{n}")).seal((b"x" * 20,)) for n in range(start, start + 500)]
            admit(buffer, batch)
    close_shelves(buffer, functools.partial(admit, buffer))
    lost = take(buffer, "1.3.1")
    buffer.close()
    opened = spied_slot_files(monkeypatch)
    again = open_buffer()
    started = time.perf_counter()
    assert look(again) == Recovered(adopted=1)
    seconds = time.perf_counter() - started
    assert opened == [str(again.spool.path(lost.instance_id))]
    assert again.counts().instances_held == held + 1
    figures(f"recovery: {held} held, {len(opened)} spool files opened, {seconds * 1000:.0f} ms")
    assert seconds < 2


def test_what_living_processes_sealed_is_adopted_and_what_they_write_is_left_alone(
    open_buffer: Callable[[], Buffer], tmp_path: Path
) -> None:
    add_slots(tmp_path, 4)
    with intake_on(tmp_path, ready=4) as used, intake_on(tmp_path) as new:
        sealed = [intake.begin(meta(f"1.2.{n}")).seal((data_set(),)) for n, intake in enumerate((used, new))]
        begun = [intake.begin(meta(f"1.3.{n}")) for n, intake in enumerate((used, new))]
        for reception in begun:
            reception.write([data_set()[:50]])
        buffer = open_buffer()
        assert look(buffer) == Recovered(adopted=2)
        late = [reception.seal([data_set()[50:]]) for reception in begun]
        assert look(buffer) == Recovered(adopted=2)
        assert admit(buffer, [*sealed, *late]) == 0, "their notices change nothing any more"
    assert {held.sealed for held in buffer.claim("pacs", 10)} == {*sealed, *late}
    assert look(buffer).adopted == 0


def test_a_start_again_and_again_under_load_adopts_everything_once(
    open_buffer: Callable[[], Buffer], tmp_path: Path
) -> None:
    add_slots(tmp_path, 40)
    acknowledged: list[SealedInstance] = []
    stopping = threading.Event()

    def receive(intake: Intake, number: int) -> None:
        count = 0
        while not stopping.is_set():
            count += 1
            reception = intake.begin(meta(f"1.{number}.{count}"))
            reception.write([data_set(f"1.{number}.{count}")[:80]])
            acknowledged.append(reception.seal([data_set(f"1.{number}.{count}")[80:]]))

    with intake_on(tmp_path, ready=8) as one, intake_on(tmp_path) as two:
        threads = [threading.Thread(target=receive, args=(intake, n)) for n, intake in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for _restart in range(8):
            buffer = open_buffer()
            found = look(buffer)
            assert (found.unfinished, found.damaged) == (0, 0)
            for held in buffer.claim("pacs", 20):
                buffer.spool.verify(held.sealed)
                buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
            buffer.release_delivered(timedelta(0))
            buffer.close()
        stopping.set()
        for thread in threads:
            thread.join()
    last = open_buffer()
    look(last)
    rows = _query(tmp_path, "SELECT instance_id, released_at FROM instance")
    assert sorted(instance_id for instance_id, _ in rows) == sorted(one.instance_id for one in acknowledged)
    kept = {instance_id for instance_id, released_at in rows if released_at is None}
    for sealed in acknowledged:
        if sealed.instance_id in kept:
            last.spool.verify(sealed)


@pytest.mark.usefixtures("no_sync")
def test_a_shelf_that_its_process_has_filled_is_closed_while_that_lives(
    open_buffer: Callable[[], Buffer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = open_buffer()
    look(buffer)
    with intake_on(tmp_path) as intake:
        begun = intake.begin(meta("1.9.9"))
        sealed = [intake.begin(meta(f"1.2.{n}")).seal((b"x",)) for n in range(SLOTS_ON_A_SHELF)]
        begun.write([b"began on the second shelf"])
        sealed += [intake.begin(meta(f"1.3.{n}")).seal((b"x",)) for n in range(SLOTS_ON_A_SHELF)]
        admit(buffer, sealed)
        close_shelves(buffer, functools.partial(admit, buffer))
        assert buffer.slots.closed_shelves() == set(), "the second shelf still holds what is being received"
        last = begun.seal()
        close_shelves(buffer, functools.partial(admit, buffer))
        assert buffer.slots.closed_shelves() == {last.instance_id[:8]}
        assert buffer.known([last.instance_id]) == {last.instance_id: True}
    opened = spied_slot_files(monkeypatch)
    buffer.close()
    assert look(open_buffer()) == NOTHING
    assert opened == []


def test_an_older_index_learns_what_lies_where_it_thought_others_lay(
    open_buffer: Callable[[], Buffer], tmp_path: Path
) -> None:
    add_slots(tmp_path, 1)
    first = open_buffer()
    look(first)
    with intake_on(tmp_path, ready=1) as intake:
        old = intake.begin(meta("1.1")).seal((data_set("1.1"),))
    admit(first, [old])
    _back_up(tmp_path)
    (held,) = first.claim("pacs", 1)
    first.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    first.release_delivered(timedelta(0))
    with intake_on(tmp_path, ready=1) as intake:
        new = intake.begin(meta("1.2")).seal((data_set("1.2"),))
    assert new.instance_id[:16] == old.instance_id[:16]
    admit(first, [new])
    first.close()
    _restore(tmp_path)
    again = open_buffer()
    assert look(again).adopted == 1
    claimed = again.claim("pacs", 10)
    assert new in [one.sealed for one in claimed]
    again.spool.verify(new)
    assert look(again) == Recovered(resumed=2)


def test_an_older_index_that_takes_a_held_slot_for_empty_costs_nothing(
    open_buffer: Callable[[], Buffer], tmp_path: Path
) -> None:
    add_slots(tmp_path, 3)
    first = open_buffer()
    look(first)
    _back_up(tmp_path)
    with intake_on(tmp_path, ready=3) as intake:
        sealed = [intake.begin(meta(f"1.{n}")).seal((data_set(f"1.{n}"),)) for n in range(3)]
    admit(first, sealed)
    first.close()
    _restore(tmp_path)
    with intake_on(tmp_path) as intake:  # before core had its look
        time.sleep(0.2)
        late = [intake.begin(meta(f"1.9.{n}")).seal((data_set(f"1.9.{n}"),)) for n in range(3)]
        again = open_buffer()
        assert look(again).adopted == 6
    for one in (*sealed, *late):
        again.spool.verify(one)


def test_rebuild_restores_an_index_equal_to_the_lost_one(open_buffer: Callable[[], Buffer], tmp_path: Path) -> None:
    """What the spool cannot know: what was delivered and released, how often it was tried."""
    add_slots(tmp_path, 5)
    policy = load_policy(everything_to(["PACS@127.0.0.1:104"]))
    buffer = open_buffer()
    router = Router(buffer, HealthBoard(), lambda: policy, b"k" * 32)
    recover(buffer, router.admit)
    with intake_on(tmp_path, ready=5) as used, intake_on(tmp_path) as new:
        wait_ready(used, 5)
        for number in range(40):
            intake = used if number % 3 else new
            uid, body = f"1.2.{number}", os.urandom(number * 3_000)
            asked = dataclasses.replace(meta(uid), transfer_syntax_uid="1.2.840.10008.1.2.1")
            router.admit([intake.begin(asked).seal((data_set(uid, body=body),))])
    before = _rows(tmp_path), _due(tmp_path)
    buffer.close()
    for path in tmp_path.glob("edge.db*"):
        path.unlink()
    rebuilt = open_buffer()
    found = recover(rebuilt, Router(rebuilt, HealthBoard(), lambda: policy, b"k" * 32).admit)
    assert found == Recovered(adopted=40)
    assert (_rows(tmp_path), _due(tmp_path)) == before
    assert not rebuilt.needs_full_scan()


def _rows(data_dir: Path) -> list[Any]:
    columns = (
        "instance_id, sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid, transfer_syntax_uid, "
        "calling_ae_title, called_ae_title, peer_address, received_at, data_set_offset, data_set_length, checksum, "
        "policy, outcomes, flags, shared_uids, routed_to, released_at, vacated"
    )
    return _query(data_dir, f"SELECT {columns} FROM instance ORDER BY instance_id")


def _due(data_dir: Path) -> list[Any]:
    joined = "FROM delivery JOIN instance ON instance.id = delivery.instance"
    return _query(data_dir, f"SELECT instance_id, destination, state {joined} ORDER BY instance_id, destination")


def _query(data_dir: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(data_dir / "edge.db"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _back_up(data_dir: Path) -> None:
    connection = apsw.Connection(str(data_dir / "edge.db"))
    connection.execute("VACUUM INTO ?", (str(data_dir / "backup"),)).fetchall()
    connection.close()


def _restore(data_dir: Path) -> None:
    for path in data_dir.glob("edge.db*"):
        path.unlink()
    shutil.move(data_dir / "backup", data_dir / "edge.db")
