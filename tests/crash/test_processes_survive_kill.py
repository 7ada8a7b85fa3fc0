"""Promise 1 over processes: whichever process of a node is killed, nothing that was acknowledged is lost.

`make test` kills a few; `make soak` kills a thousand. SKERRY_CRASH_KILLS and SKERRY_CRASH_RUNS say how many.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.part10 import encode_meta
from provisioning.errors import ProvisioningError
from provisioning.local.dcmsend import Sending
from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_processes import ended_so_far, hit, pid_of, report, wait_all_serve
from tests.edge_samples import data_set, meta
from tests.real_programs import require
from tests.scu import association, store

KILLS = int(os.environ.get("SKERRY_CRASH_KILLS", "15"))
RUNS = int(os.environ.get("SKERRY_CRASH_RUNS", "1"))
SENDERS = 3
TOGETHER = 8
SETTLE_SECONDS = 120.0
VICTIMS = {"ingest-0": 4, "ingest-1": 4, "core": 5, "forward-0": 4, "supervisor": 3}


class Modality(threading.Thread):
    """DCMTK's `dcmsend` with new instances, again and again; remembers only those that it says were taken."""

    def __init__(self, number: int, run: int, edge: Edge, folder: Path) -> None:
        super().__init__(name=f"modality-{number}", daemon=True)
        self.acknowledged: set[str] = set()
        self.stopping = threading.Event()
        self._number, self._edge, self._folder, self._sent = number, edge, folder, 0
        self._root = f"1.2.826.0.1.{run + 1}.{number + 1}"
        self._random = random.Random(f"{run} {number}")
        folder.mkdir()

    def run(self) -> None:
        while not self.stopping.is_set():
            files = [self._make() for _ in range(TOGETHER)]
            try:
                with Sending(files, port=self._edge.dicom_port, calling=f"SCANNER{self._number}") as sending:
                    self.acknowledged.update(one.sop_instance_uid for one in sending.report(seconds=60).succeeded)
            except ProvisioningError:
                time.sleep(0.05)  # nobody listened, or the association broke before its first answer
            for path in files:
                path.unlink()

    def _make(self) -> Path:
        self._sent += 1
        uid = f"{self._root}.{self._sent}"
        path = self._folder / f"{self._sent}.dcm"
        body = self._random.randbytes(self._random.choice([200, 5_000, 60_000, 600_000]))
        path.write_bytes(bytes(128) + encode_meta(meta(uid)) + data_set(uid, body=body))
        return path


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    require("storescp", "dcmsend")
    with StoreScp(tmp_path / "pacs") as sink:
        yield sink


@pytest.mark.timeout(300 + 15 * KILLS)
@pytest.mark.parametrize("run", range(RUNS))
def test_nothing_acknowledged_is_lost_whichever_process_is_killed(
    tmp_path: Path, pacs: StoreScp, figures: Figures, run: int
) -> None:
    chance = random.Random(20_261_122 + run)
    edge = TunedEdge(tmp_path, to=[pacs.address], ingest_processes=2, retry_cap_seconds=2.0)
    edge.start()
    modalities = [Modality(number, run, edge, tmp_path / f"modality-{number}") for number in range(SENDERS)]
    for modality in modalities:
        modality.start()
    killed: Counter[str] = Counter()
    try:
        while killed.total() < KILLS:
            time.sleep(chance.uniform(0.0, 1.0))
            (name,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
            killed[name] += hit(edge, name)
            if name == "supervisor":
                edge.kill()
                edge.start()
    finally:
        for modality in modalities:
            modality.stopping.set()
        for modality in modalities:
            modality.join(90)
    wait_all_serve(edge, seconds=60)
    acknowledged = set[str]().union(*(modality.acknowledged for modality in modalities))
    delivered = _wait_until_delivered(pacs, acknowledged)
    code = edge.stop()
    lost = acknowledged - delivered
    hits = " ".join(f"{name} {count}" for name, count in sorted(killed.items()))
    figures(f"crash: processes killed {killed.total()} ({hits}) acknowledged {len(acknowledged)} lost {len(lost)}")
    assert len(acknowledged) > KILLS, "the load must be real"
    assert not lost, f"{sorted(lost)[:10]}\n{edge.log_end(60)}"
    assert code == 0


def test_modalities_are_served_while_core_is_dead_and_deliveries_follow(tmp_path: Path, pacs: StoreScp) -> None:
    uids = [f"1.2.3.{number}" for number in range(1, 31)]
    edge = TunedEdge(tmp_path, to=[pacs.address], stall_seconds=5)
    with edge:
        assert hit(edge, "core", signal.SIGSTOP)
        with association(edge.dicom_port) as peer:
            assert [store(peer, uid, data_set(uid)) for uid in uids[:15]] == [0] * 15
            for uid in uids[15:]:
                hit(edge, "core")
                assert store(peer, uid, data_set(uid)) == 0
        assert _wait_until_delivered(pacs, set(uids)) >= set(uids)
        wait_all_serve(edge, ended=1)
        assert edge.metric("skerry_edge_process_restarts_total", process="core") >= 1
        assert "process-restarted" in edge.conditions()


def test_what_a_dead_ingest_process_told_nobody_of_is_found_while_the_node_runs(tmp_path: Path, pacs: StoreScp) -> None:
    with TunedEdge(tmp_path, to=[pacs.address], ingest_processes=1, stall_seconds=60) as edge:
        # While core stands still its mailbox is full sooner or later; here it is gone, so that the notice stays behind.
        assert hit(edge, "core", signal.SIGSTOP)
        (edge.data_dir / "run" / "arrivals.sock").unlink()
        with association(edge.dicom_port) as peer:
            assert store(peer, "1.2.3.1", data_set("1.2.3.1")) == 0
            assert hit(edge, "ingest-0")
        assert hit(edge, "core", signal.SIGCONT)
        assert _wait_until_delivered(pacs, {"1.2.3.1"}) == {"1.2.3.1"}
        assert report(edge)["core"]["ended"] == 0


@pytest.mark.parametrize("name", ["core", "ingest-0", "forward-0"])
def test_a_process_without_progress_is_killed_and_comes_back(tmp_path: Path, name: str) -> None:
    with TunedEdge(tmp_path, stall_seconds=5) as edge:
        before = pid_of(edge, name)
        assert hit(edge, name, signal.SIGSTOP)
        wait_all_serve(edge, ended=1)
        assert pid_of(edge, name) != before
        assert ended_so_far(edge) == 1
        assert [one["child"] for one in edge.events("process.hangs")] == [name]
        assert edge.facts()["ready"] is True


def _wait_until_delivered(pacs: StoreScp, wanted: set[str]) -> set[str]:
    deadline = time.monotonic() + SETTLE_SECONDS
    whole: set[str] = set()
    while True:
        whole |= {uid for uid, part in pacs.received(known=whole).items() if part.data_set}
        if wanted <= whole or time.monotonic() > deadline:
            return whole
        time.sleep(0.5)
