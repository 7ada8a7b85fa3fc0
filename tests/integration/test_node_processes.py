"""A node is several processes: they begin and end together, and a person, systemd and Prometheus see one node."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_processes import children, hit, memory, report, wait_all_serve
from tests.edge_samples import data_set
from tests.scu import association, store


def test_one_listener_is_served_by_several_processes_and_its_metrics_are_one(tmp_path: Path) -> None:
    with StoreScp(tmp_path / "pacs") as pacs, TunedEdge(tmp_path, to=[pacs.address], ingest_processes=3) as edge:
        assert sorted(report(edge)) == ["core", "forward-0", "ingest-0", "ingest-1", "ingest-2"]
        for number in range(1, 13):
            with association(edge.dicom_port) as peer:
                assert store(peer, f"1.2.3.{number}", data_set(f"1.2.3.{number}")) == 0
        edge.wait(lambda: len(pacs.received()) == 12, "not all were delivered")
        edge.wait(
            lambda: edge.metric("skerry_edge_deliveries_total", outcome="delivered") == 12,
            "deliveries were not counted",
        )
        assert edge.metric("skerry_edge_instances_accepted_total") == 12
        assert edge.metric("skerry_edge_destination_up", destination="PACS") == 1
        edge.wait(lambda: edge.metric("skerry_edge_open_associations") == 0, "associations stayed open")
        assert edge.metric("skerry_edge_build_info") == 1
        assert edge.facts()["ready"] is True
        counted = edge.metric("skerry_edge_instances_accepted_total")
        for name in ("ingest-0", "ingest-1", "ingest-2"):
            hit(edge, name)
        wait_all_serve(edge, ended=3)
        assert edge.metric("skerry_edge_instances_accepted_total") == counted
        assert edge.metric("skerry_edge_process_restarts_total") == 3


def test_destinations_are_shared_between_processes_that_deliver(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(StoreScp(tmp_path / f"pacs{number}", ae_title=f"P{number}", name=f"p{number}"))
            for number in range(4)
        ]
        edge = stack.enter_context(TunedEdge(tmp_path, to=[sink.address for sink in sinks], forward_processes=2))
        with association(edge.dicom_port) as peer:
            assert store(peer, "1.2.3.1", data_set("1.2.3.1")) == 0
        edge.wait(lambda: all("1.2.3.1" in sink.received() for sink in sinks), "not everywhere", seconds=20)
        edge.wait(lambda: sorted(_followed(edge)) == ["forward-0", "forward-1"], "not both said what they follow")
        assert sorted(name for share in _followed(edge).values() for name in share) == ["P0", "P1", "P2", "P3"]
        edge.wait(lambda: edge.metric("skerry_edge_deliveries_total") == 4, "deliveries were not counted")


def _followed(edge: TunedEdge) -> dict[str, list[str]]:
    return {one["process"]: one["destinations"] for one in edge.events("orders.followed")}


@pytest.mark.parametrize("standing", [None, "core"])
def test_no_process_outlives_its_supervisor(tmp_path: Path, standing: str | None) -> None:
    with Edge(tmp_path / "node") as edge:
        found = children(edge)
        assert len(found) == len(report(edge)) >= 3
        if standing is not None:
            hit(edge, standing, signal.SIGSTOP)
        os.kill(edge.pid, signal.SIGKILL)
        _gone, left = psutil.wait_procs(found, timeout=5)
        assert left == []
        edge.kill()
        edge.start()
        assert edge.facts()["ready"] is True


def test_a_node_that_is_asked_to_stop_leaves_nothing_running(tmp_path: Path) -> None:
    with Edge(tmp_path / "node") as edge:
        found = children(edge)
        assert edge.stop() == 0
        assert [one for one in found if one.is_running()] == []
    assert "process.killed" not in edge.log_text()


def test_every_log_line_says_which_process_it_is_of(tmp_path: Path) -> None:
    with Edge(tmp_path / "node") as edge:
        pass
    lines = [json.loads(line) for line in edge.log_text().splitlines()]
    assert {one["process"] for one in lines} >= {"supervisor", "core"}
    assert all(one["process"] for one in lines)


def test_an_idle_node_is_small(tmp_path: Path, figures: Figures) -> None:
    with TunedEdge(tmp_path, ingest_processes=2) as edge:
        time.sleep(2)
        sizes = {"supervisor": memory(edge.pid)}
        sizes.update({name: memory(one["pid"]) for name, one in report(edge).items()})
    whole = sum(pss for _rss, pss in sizes.values())
    each = " ".join(f"{name} {rss >> 20}/{pss >> 20}" for name, (rss, pss) in sizes.items())
    figures(f"memory of an idle node: {whole >> 20} MiB (each resident/own share: {each})")
    assert whole < 200 << 20


def test_systemd_is_told_when_all_serve_and_while_all_make_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1500000")
        with TunedEdge(tmp_path, stall_seconds=60) as edge:
            heard = manager.recv(1000)
            assert heard.startswith(b"READY=1\nSTATUS=serves 127.0.0.1:")
            while heard != b"WATCHDOG=1":
                heard = manager.recv(1000)
            hit(edge, "core", signal.SIGSTOP)
            time.sleep(7)
            manager.settimeout(0)
            _drain(manager)
            time.sleep(2)
            assert b"WATCHDOG=1" not in _drain(manager)
            hit(edge, "core", signal.SIGCONT)
            manager.settimeout(10)
            while manager.recv(1000) != b"WATCHDOG=1":
                pass
            edge.ask_to_stop()
            while manager.recv(1000) != b"STOPPING=1":
                pass


def _drain(manager: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(manager.recv(1000))
    except BlockingIOError:
        return found
