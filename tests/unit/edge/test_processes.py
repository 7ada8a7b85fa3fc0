"""The processes of a node: decisions about them, and what they tell each other. Nothing is started here."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from edge.bell import Bell
from edge.health import DESTINATION_DOWN, SPOOL_FULL
from edge.model import DicomDestination, FolderDestination
from edge.orders import Orders, OrdersWatch, publish
from edge.processes.keeping import PAUSES, WELL_SECONDS, Record
from edge.processes.kinds import STOP_ORDER, STOP_SECONDS, roles
from edge.processes.launch import Launch, inherited
from edge.processes.lifeline import hear, is_gone, tell
from edge.processes.report import report
from edge.processes.systemd import Systemd
from edge.run_dir import RunDir
from edge.settings import EdgeSettings
from edge.siblings import SharedHealth, Siblings

SETTINGS = EdgeSettings(data_dir=Path("data"), ingest_processes=2, forward_processes=3)
PACS = DicomDestination(name="pacs", host="10.0.0.1", port=104, ae_title="PACS")
ARCHIVE = FolderDestination(name="archive", path="/mnt/archive")


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path)
    made.clear()
    return made


def test_the_first_restart_is_at_once_and_those_in_a_row_wait_longer_up_to_a_cap() -> None:
    record, now, waits = Record("core"), 100.0, []
    for _ in range(len(PAUSES) + 2):
        record.starts(now)
        record.ends(now, "it ended with 1")
        assert record.start_at is not None
        waits.append(record.start_at - now)
        now = record.start_at
    assert waits == pytest.approx([*PAUSES, PAUSES[-1], PAUSES[-1]])
    record.starts(now)
    record.serves(now)
    later = now + WELL_SECONDS + 0.1
    record.ends(later, "it was ended by SIGKILL")
    assert record.start_at == later


def test_only_a_process_that_runs_can_hang() -> None:
    record = Record("core")
    record.starts(0.0)
    assert not record.hangs(30.0, 30.0)
    assert record.hangs(30.1, 30.0)
    record.beats(30.1)
    assert not record.hangs(40.0, 30.0)
    record.ends(41.0, "it ended with 1")
    assert not record.hangs(99.0, 30.0)


def test_every_kind_of_process_has_its_time_to_stop_and_all_fit_into_ten_seconds() -> None:
    found = roles(SETTINGS)
    assert [one.name for one in found] == ["core", "ingest-0", "ingest-1", "forward-0", "forward-1", "forward-2"]
    assert {one.kind for one in found} == set(STOP_ORDER) == set(STOP_SECONDS)
    assert sorted(STOP_SECONDS.values()) == [STOP_SECONDS[kind] for kind in STOP_ORDER]
    assert max(STOP_SECONDS.values()) < 9.5


def test_each_destination_belongs_to_one_of_the_processes_that_deliver() -> None:
    many = tuple(DicomDestination(name=f"pacs-{number}", host="h", port=104, ae_title="PACS") for number in range(50))
    orders = Orders(destinations=many)
    shares = [orders.share(number, 3) for number in range(3)]
    assert sorted(one.name for share in shares for one in share) == sorted(one.name for one in many)
    assert all(shares)
    assert orders.share(0, 1) == many


def test_orders_arrive_as_they_were_given_and_only_when_they_change(run_dir: RunDir) -> None:
    watch = OrdersWatch(run_dir)
    assert watch.news() is None
    orders = Orders(policy="local:1", destinations=(PACS, ARCHIVE))
    publish(run_dir, orders)
    assert watch.news() == orders
    assert watch.news() is None
    publish(run_dir, Orders(policy="local:2"))
    assert watch.news() == Orders(policy="local:2")


def test_a_launch_is_read_as_it_was_written_and_leaves_nothing_on_the_disk() -> None:
    launch = Launch(settings=SETTINGS, policy="skerry: 1", name="ingest-1", number=1, of=2, bells={"outbox": 7})
    assert inherited(launch.inheritable()) == launch


def test_words_travel_along_a_lifeline_and_its_end_is_noticed() -> None:
    child, supervisor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    assert hear(supervisor) == {}
    assert tell(child, ready=True, http="127.0.0.1:1")
    assert hear(supervisor) == {"ready": True, "http": "127.0.0.1:1"}
    assert not is_gone(child, within=0.01)
    supervisor.close()
    assert is_gone(child, within=0.01)
    assert not tell(child, beat=True)
    child.close()


def test_a_bell_is_heard_once_for_all_rings_that_came_together() -> None:
    descriptor = os.eventfd(0)
    bell = Bell(descriptor)
    bell.ring()
    bell.ring()
    assert os.eventfd_read(descriptor) == 2
    os.close(descriptor)


def test_conditions_of_other_processes_are_told_and_those_about_them(run_dir: RunDir) -> None:
    siblings = Siblings(run_dir)
    assert siblings.receiving()
    assert siblings.conditions() == []
    health = SharedHealth(run_dir, "forward-0")
    down = DESTINATION_DOWN.saying("pacs takes nothing.", subject="pacs", hint="Look.")
    health.raise_condition(down)
    health.raise_condition(SPOOL_FULL)
    quiet = {"pid": 1, "serves": True, "ended": 0, "lately": 0, "last_end": ""}
    limping = {"pid": None, "serves": False, "ended": 2, "lately": 2, "last_end": "it was ended by SIGKILL"}
    run_dir.write("processes.json", {"core": quiet, "ingest-0": limping})
    assert not siblings.receiving()
    found = siblings.conditions()
    assert [(one.code, one.subject) for one in found] == [
        ("destination-down", "pacs"),
        ("process-down", "ingest-0"),
        ("process-restarted", "ingest-0"),
    ]
    assert found[0] == down
    assert "2 times in the last 15 minutes; it was ended by SIGKILL" in found[2].text
    health.clear(DESTINATION_DOWN.code, "pacs")
    assert json.loads((run_dir.path / "health-forward-0").read_text())[0]["code"] == SPOOL_FULL.code


class _Kept:
    def __init__(self, name: str) -> None:
        self.name, self.pid, self.record = name, 1, Record(name)


def test_a_report_says_who_does_not_work_and_whether_all_make_progress() -> None:
    core, ingest = _Kept("core"), _Kept("ingest-0")
    for one in (core, ingest):
        one.record.starts(0.0)
        one.record.serves(0.0)
    assert report([core, ingest], 1.0).all_beat
    assert report([core, ingest], 1.0).sentence("h:104") == "serves h:104"
    core.record.beats(8.0)
    assert not report([core, ingest], 9.0).all_beat
    ingest.record.ends(9.0, "it ended with 1")
    assert report([core, ingest], 9.0).sentence("h:104") == "ingest-0 starts again; h:104"


def test_systemd_hears_of_it_and_its_words_are_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        systemd = Systemd()
        assert "NOTIFY_SOCKET" not in os.environ
        systemd.tell(READY=1, STATUS="serves")
        systemd.pet_watchdog()
        systemd.pet_watchdog()
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1\nSTATUS=serves", b"WATCHDOG=1"]
        with pytest.raises(BlockingIOError):
            manager.recv(100)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Systemd().tell(READY=1)
