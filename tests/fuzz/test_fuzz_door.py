"""Mutated conversations over sockets into a running node: no process of it ends, and the next good peer is served."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator

import psutil
import pytest

from tests import byte_pdus as pdus
from tests import fuzz_mutations as mutations
from tests.byte_peer import DEFAULT_CONTEXTS, BytePeer
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.harmless import come_back, good_association

SHARE = 3
"""Hundredths of all cases."""
TOGETHER = 4


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with TunedEdge(
        tmp_path_factory.mktemp("fuzz"),
        pdu_timeout_seconds=1,
        dimse_timeout_seconds=1,
        artim_timeout_seconds=1,
        max_associations_per_peer=0,
        ready_spool_bytes=0,
    ) as node:
        yield node


def _case(edge: TunedEdge, chance: random.Random) -> None:
    """One mad association: the request or what follows it is mutated, or both."""
    requests, talks = mutations.association_requests(), mutations.conversations()
    first, rest = pdus.associate_rq(DEFAULT_CONTEXTS), chance.choice(talks)
    kind = chance.randrange(4)
    if kind == 0:
        first = mutations.mutated(chance.choice(requests), chance, requests)
    if kind != 0 or chance.random() < 0.1:
        rest = mutations.mutated(rest, chance, talks)
    with contextlib.suppress(OSError), BytePeer(edge.dicom_port, seconds=5) as peer:
        peer.send_pieces(first + rest, chance.choice((1_000_000, 1_000_000, 700, 90)))
        if chance.random() < 0.5:
            peer.drain()


def _pids(edge: TunedEdge) -> set[int]:
    return {process.pid for process in psutil.Process(edge.pid).children(recursive=True)}


@pytest.mark.timeout(0)
def test_a_node_outlives_mutated_conversations(edge: TunedEdge, figures: Figures) -> None:
    for _ in range(20):
        good_association(edge)
    before, processes = edge.footprint(), _pids(edge)
    count = max(mutations.CASES * SHARE // 100, TOGETHER)
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(worker, count, TOGETHER):
                _case(edge, random.Random(f"{mutations.SEED}/door/{number}"))
                if number % 40 == worker:
                    good_association(edge)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(TOGETHER)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert not failures, f"seed {mutations.SEED}: {failures[0]!r}\n{edge.log_end()}"
    good_association(edge)
    come_back(edge, before)
    grown = edge.footprint().resident - before.resident
    figures(f"fuzz: door: {count} mutated conversations, memory {grown / 2**20:+.1f} MiB")
    assert _pids(edge) == processes, "no process of the node ended"
    assert grown < 48 << 20
    assert "Traceback" not in edge.log_text()
