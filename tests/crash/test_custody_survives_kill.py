"""Promise 1, custody before success: what was answered with success survives `kill -9` of the node at any moment.

`make test` kills it ten times, `make soak` a hundred times; SKERRY_CUSTODY_KILLS says how often.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.local.edge import Edge
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_samples import data_set
from tests.scu import association, store

KILLS = int(os.environ.get("SKERRY_CUSTODY_KILLS", "10"))
SENDERS = 3
SETTLE_SECONDS = 60.0


class Modality(threading.Thread):
    """Sends new instances without end, and remembers only those that were answered with success."""

    def __init__(self, number: int, edge: Edge) -> None:
        super().__init__(name=f"modality-{number}", daemon=True)
        self.acknowledged: list[str] = []
        self.stopping = threading.Event()
        self._number, self._edge, self._sent = number, edge, 0
        self._random = random.Random(number)

    def run(self) -> None:
        while not self.stopping.is_set():
            with association(self._edge.dicom_port, calling=f"SCANNER{self._number}") as peer:
                while peer.is_established and not self.stopping.is_set():
                    if not self._send_one(peer):
                        break
            time.sleep(0.01)

    def _send_one(self, peer: Any) -> bool:
        self._sent += 1
        uid = f"1.2.826.0.1.{self._number + 1}.{self._sent}"
        content = data_set(uid, body=self._random.randbytes(self._random.choice([200, 5_000, 60_000])))
        status = store(peer, uid, content, message_id=self._sent % 65535 + 1)
        if status == 0x0000:
            self.acknowledged.append(uid)
        return status is not None


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StoreScp]:
    with StoreScp(tmp_path / "pacs") as sink:
        yield sink


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_however_often_a_node_is_killed_under_load(
    tmp_path: Path, pacs: StoreScp, figures: Figures
) -> None:
    chance = random.Random(20_261_122)
    edge = Edge(tmp_path / "node", to=[pacs.address])
    edge.start()
    modalities = [Modality(number, edge) for number in range(SENDERS)]
    for modality in modalities:
        modality.start()
    try:
        for _kill in range(KILLS):
            time.sleep(chance.uniform(0.0, 0.8))
            edge.kill()
            edge.start()
    finally:
        for modality in modalities:
            modality.stopping.set()
        for modality in modalities:
            modality.join(30)
    acknowledged = {uid for modality in modalities for uid in modality.acknowledged}
    delivered = _wait_until_delivered(pacs, acknowledged)
    adopted = edge.log_text().count('"recovery.done"')
    edge.stop()
    lost = acknowledged - delivered
    figures(f"crash: kills {KILLS} restarts {adopted} acknowledged {len(acknowledged)} lost {len(lost)}")
    assert len(acknowledged) > KILLS, "the load must be real"
    assert not lost


def _wait_until_delivered(pacs: StoreScp, wanted: set[str]) -> set[str]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        received = pacs.received()
        whole = {uid for uid, part in received.items() if part.data_set}
        if wanted <= whole or time.monotonic() > deadline:
            return whole
        time.sleep(0.5)
