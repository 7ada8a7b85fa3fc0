"""Notices: what other processes took into custody reaches core, and core's absence stops nobody."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.buffer import notices
from edge.buffer.notices import NoticeReceiver, NoticeSender
from edge.model import SealedInstance
from tests.edge_samples import CT, EXPLICIT, FACTS


def sealed(number: int) -> SealedInstance:
    return SealedInstance(
        instance_id=f"{number:032x}",
        sop_class_uid=CT,
        sop_instance_uid=f"1.2.{number}",
        transfer_syntax_uid=EXPLICIT,
        facts=FACTS,
        received_at=datetime(2026, 1, 1, 12, 30, 1, 250_001, tzinfo=UTC),
        data_set_offset=500,
        data_set_length=10_000 + number,
        checksum=4_000_000_000,
    )


class Core:
    """A receiver that can be started and stopped, as core can."""

    def __init__(self, data_dir: Path) -> None:
        self.heard: queue.SimpleQueue[SealedInstance] = queue.SimpleQueue()
        self.looked = threading.Event()
        self._receiver = NoticeReceiver(data_dir, self.heard, look=self.looked.set)
        self._receiver.open()
        self._receiver.start()

    def take(self, count: int) -> list[SealedInstance]:
        return [self.heard.get(timeout=10) for _ in range(count)]

    def stop(self) -> None:
        self._receiver.stop()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    deep = tmp_path / ("a-very-long-name-of-a-data-directory-that-no-unix-address-could-hold" * 2)
    deep.mkdir()
    return deep


@pytest.fixture
def sender(data_dir: Path) -> Iterator[NoticeSender]:
    started = NoticeSender(data_dir)
    started.start()
    yield started
    started.stop(timeout=0.1)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_notice_arrives_once_whole_and_in_order(data_dir: Path, sender: NoticeSender) -> None:
    core = Core(data_dir)
    sent = [sealed(number) for number in range(2_000)]
    for one in sent:
        sender.put(one)
    assert core.take(2_000) == sent
    core.stop()
    assert core.heard.empty()


def test_what_core_was_not_there_for_it_hears_when_it_comes_back(data_dir: Path, sender: NoticeSender) -> None:
    first = Core(data_dir)
    sender.put(sealed(1))
    assert first.take(1) == [sealed(1)]
    first.stop()
    for number in range(2, 300):
        sender.put(sealed(number))
    second = Core(data_dir)
    assert second.take(298) == [sealed(number) for number in range(2, 300)]
    second.stop()


def test_telling_costs_next_to_nothing_while_core_is_away(data_dir: Path, sender: NoticeSender) -> None:
    started = time.perf_counter()
    for _ in range(10_000):
        sender.put(sealed(1))
    assert time.perf_counter() - started < 5
    assert sender.waiting() == 10_000


def test_too_many_notices_become_one_word_to_look_itself(
    data_dir: Path, sender: NoticeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "MOST_KEPT", 10)
    for number in range(30):
        sender.put(sealed(number))
    core = Core(data_dir)
    assert core.take(10) == [sealed(number) for number in range(10)]
    assert core.looked.wait(10)
    core.stop()


def test_a_receiver_survives_what_is_no_notice(data_dir: Path, sender: NoticeSender) -> None:
    core = Core(data_dir)
    sender._send(b"\xff{ no notice")
    sender._send(b'[["too", "short"]]')
    sender.put(sealed(7))
    assert core.take(1) == [sealed(7)]
    core.stop()


def test_a_sender_that_stops_has_sent_what_it_could(data_dir: Path) -> None:
    core = Core(data_dir)
    sender = NoticeSender(data_dir)
    sender.start()
    for number in range(500):
        sender.put(sealed(number))
    sender.stop()
    assert len(core.take(500)) == 500
    _wait_until(lambda: sender.waiting() == 0)
    core.stop()
