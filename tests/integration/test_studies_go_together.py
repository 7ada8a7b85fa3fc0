"""A route that waits, in a real node: an open association holds its study, late images come after, nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge.buffer.view import BufferView
from provisioning.local.command import own_script, run
from provisioning.local.storescp import StoreScp
from tests.edge_door import TunedEdge, waiting_node
from tests.edge_samples import data_set
from tests.scu import association, store

pytestmark = pytest.mark.timeout(120)
QUIET = 4


def send(peer: Any, *uids: str) -> None:
    """These instances, all of one study, over this association."""
    for number, uid in enumerate(uids, 1):
        assert store(peer, uid, data_set(uid), message_id=number) == 0x0000


def arrived(pacs: StoreScp) -> int:
    """How many files the PACS has."""
    return sum(1 for path in pacs.folder.rglob("*") if path.is_file())


def gathers(edge: TunedEdge, images: int) -> None:
    """Wait until so many images of the study are known to wait."""
    view = BufferView(edge.data_dir)
    edge.wait(lambda: [one["images"] for one in view.gatherings()] == [images], f"{images} never gathered")


def core(edge: TunedEdge) -> psutil.Process:
    """The process that routes."""
    (found,) = (one for one in psutil.Process(edge.pid).children() if "core" in one.cmdline())
    return found


def test_a_study_goes_when_its_association_is_over_and_it_is_quiet(tmp_path: Path, pacs: StoreScp) -> None:
    with waiting_node(tmp_path, pacs, f"{{for: study, quiet: {QUIET}s, at_most: 5m}}") as edge:
        with association(edge.dicom_port) as peer:
            send(peer, "1.2.1", "1.2.2", "1.2.3")
            gathers(edge, 3)
            time.sleep(QUIET + 3)
            assert arrived(pacs) == 0, "its association was open, so more could come"
            assert edge.metric("skerry_edge_gathering_groups") == 1
            said = edge.ask("status")
            assert said["gathering"][0]["uid"] == "1.2.3"
            assert said["buffer"]["deliveries_waiting"] == 3
        released = time.monotonic()
        edge.wait(lambda: arrived(pacs) == 3, "the study never went", seconds=20)
        assert time.monotonic() - released > QUIET - 2
        edge.wait(lambda: edge.metric("skerry_edge_gathering_groups") == 0, "it is still open")
        with association(edge.dicom_port) as peer:
            send(peer, "1.2.4")
        gathers(edge, 1)
        assert arrived(pacs) == 3, "a late image waits for a quiet of its own"
        edge.wait(lambda: arrived(pacs) == 4, "the late image never went", seconds=20)


def test_who_will_not_wait_forces_it_and_the_commands_say_what_waits(tmp_path: Path, pacs: StoreScp) -> None:
    with waiting_node(tmp_path, pacs, "{for: series, quiet: 1h, at_most: 2h}") as edge:
        with association(edge.dicom_port) as peer:
            send(peer, "1.2.1", "1.2.2")
        gathers(edge, 2)
        where = ["--data-dir", str(edge.data_dir)]
        for command in (["status"], ["queue"], ["trace", "1.2.1"]):
            said = run([own_script("skerry-edge"), *command, *where])
            assert "gathering, 2 images, goes at " in said, said
        assert "2 deliveries released" in run([own_script("skerry-edge"), "force", "1.2.9.1", *where])
        edge.wait(lambda: arrived(pacs) == 2, "they were not sent", seconds=15)


def test_the_cap_sends_what_never_becomes_quiet(tmp_path: Path, pacs: StoreScp) -> None:
    with (
        waiting_node(tmp_path, pacs, "{for: study, quiet: 3s, at_most: 6s}") as edge,
        association(edge.dicom_port) as peer,
    ):
        send(peer, "1.2.1")
        began = time.monotonic()
        edge.wait(lambda: arrived(pacs) == 1, "the cap never came", seconds=20)
        assert time.monotonic() - began > 4


def test_a_node_killed_while_it_gathers_releases_all_after_its_start(tmp_path: Path, pacs: StoreScp) -> None:
    with waiting_node(tmp_path, pacs, "{for: study, quiet: 8s, at_most: 5m}") as edge:
        with association(edge.dicom_port) as peer:
            send(peer, *(f"1.2.{n}" for n in range(1, 21)))
        gathers(edge, 20)
        time.sleep(3)
        edge.kill()
        before = _counted(edge)
        time.sleep(3)
        edge.start()
        assert arrived(pacs) == 0, "time in which nobody could send is no quiet"
        assert _counted(edge)["goes_at"] > before["goes_at"]
        edge.wait(lambda: arrived(pacs) == 20, "not all of it went", seconds=30)


def test_core_may_die_while_an_association_is_open(tmp_path: Path, pacs: StoreScp) -> None:
    with waiting_node(tmp_path, pacs, "{for: study, quiet: 4s, at_most: 5m}") as edge:
        with association(edge.dicom_port, seconds=60) as peer:
            send(peer, "1.2.1", "1.2.2")
            gathers(edge, 2)
            os.kill(core(edge).pid, signal.SIGKILL)
            send(peer, "1.2.3")
            gathers(edge, 3)
            time.sleep(7)
            assert arrived(pacs) == 0, "the new core knows who still sends"
        edge.wait(lambda: arrived(pacs) == 3, "not all of it went", seconds=20)


def _counted(edge: TunedEdge) -> dict[str, Any]:
    (group,) = BufferView(edge.data_dir).gatherings()
    return group
