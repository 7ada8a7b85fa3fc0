"""Many peers at once, or one without end: silent, dripping, flooding, coming and going. The door stays open."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_peer import BytePeer, associated, echo_seconds
from tests.byte_wire import Wire
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.harmless import ECHO_SECONDS, come_back, good_association, harmless, node_among_hostile_peers
from tests.hostile_probes import ACCEPTED, LATE, REQUEST, TIMEOUT

SOAK = os.environ.get("SKERRY_SOAK") == "1"
CONNECTIONS, ECHOES = (100_000, 10_000) if SOAK else (3_000, 500)
IDLE, IDLE_SECONDS = 500, 5.0


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with node_among_hostile_peers(
        tmp_path_factory.mktemp("crowds"), max_associations=150, max_associations_per_peer=0
    ) as node:
        yield node


def test_five_hundred_silent_connections_keep_nobody_out(edge: TunedEdge, figures: Figures) -> None:
    counted = edge.ended("never-established")
    with harmless(edge, figures, "500 silent connections"), contextlib.ExitStack() as opened:
        peers = [opened.enter_context(BytePeer(edge.dicom_port)) for _ in range(500)]
        started = time.monotonic()
        good_association(edge)
        assert time.monotonic() - started < ECHO_SECONDS
        for peer in peers:
            assert peer.drain() == []
        assert time.monotonic() - started < TIMEOUT + 3
    edge.wait_ended("never-established", count=counted + 500)


def test_silent_connections_beyond_every_limit_keep_nobody_out(edge: TunedEdge) -> None:
    counted = edge.ended("never-established", "turned-away")
    with harmless(edge), contextlib.ExitStack() as opened:
        for _ in range(1_500):
            with contextlib.suppress(ConnectionError):
                opened.enter_context(BytePeer(edge.dicom_port))
        good_association(edge)
    edge.wait_ended("never-established", "turned-away", count=counted + 1_400)


def _drip(wire: Wire, raw: bytes, seconds: float) -> None:
    """One byte at a time, slower than anybody's network."""
    until = time.monotonic() + seconds
    with contextlib.suppress(ConnectionError):
        for byte in itertools.cycle(raw):
            wire.send(bytes([byte]))
            time.sleep(0.1)
            assert time.monotonic() < until, "it may drip as long as it likes"


def test_an_association_request_that_drips_is_ended(edge: TunedEdge) -> None:
    counted = edge.ended(*LATE)
    with harmless(edge), BytePeer(edge.dicom_port) as peer:
        _drip(peer, ACCEPTED, TIMEOUT + 2)
    edge.wait_ended(*LATE, count=counted + 1)


def test_an_object_that_drips_is_ended(edge: TunedEdge) -> None:
    counted = edge.ended("silent")
    with harmless(edge), associated(edge.dicom_port) as peer:
        peer.send(REQUEST + b"\x04\x00\x00\x02\x00\x00\x00\x01\xff\xfc\x01\x00")
        _drip(peer, bytes(8), 2 * TIMEOUT + 3)
    edge.wait_ended("silent", count=counted + 1)


def test_twenty_objects_that_drip_at_once_harm_nobody(edge: TunedEdge, figures: Figures) -> None:
    counted = edge.ended("silent")
    with harmless(edge, figures, "20 dripping objects"), contextlib.ExitStack() as opened:
        threads = []
        for _ in range(20):
            peer = opened.enter_context(associated(edge.dicom_port))
            peer.send(REQUEST + b"\x04\x00\x00\x02\x00\x00\x00\x01\xff\xfc\x01\x00")
            threads.append(threading.Thread(target=_drip, args=(peer, bytes(8), 10.0), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(12)
    edge.wait_ended("silent", count=counted + 20)


def test_a_peer_that_never_reads_its_answers_is_ended(edge: TunedEdge, figures: Figures) -> None:
    """Requests without end; whether it is caught while we answer or while it stops sending, is the kernels' matter."""
    counted = edge.ended("not-reading", "silent")
    echoes = pdus.p_data(pdus.pdv(commands.echo_rq(), command=True, context_id=3)) * 100
    name = "a peer that never reads"
    with harmless(edge, figures, name), BytePeer(edge.dicom_port, unread=4096, seconds=20) as peer:
        peer.associate()
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while True:
                peer.send(echoes)
                assert time.monotonic() - started < 20, "it may flood as long as it likes"
        took = time.monotonic() - started
    figures(f"hostile: a peer that never reads was ended after {took:.1f} s")
    edge.wait_ended("not-reading", "silent", count=counted + 1)


def test_a_peer_that_sends_objects_and_reads_nothing_loses_its_association_and_no_acknowledged_object(
    edge: TunedEdge,
) -> None:
    """Whether it reads the answer or not: what was in custody stays."""

    def objects(number: int) -> bytes:
        uid = f"1.2.88.{number}"
        command = commands.store_rq(uid.encode(), message_id=number)
        return pdus.p_data(pdus.pdv(command, command=True)) + pdus.p_data(pdus.pdv(data_set(uid, body=b"")))

    accepted = edge.metric("skerry_edge_instances_accepted_total")
    with associated(edge.dicom_port) as peer:
        for number in range(50):
            peer.send(objects(number))
        edge.wait(
            lambda: edge.metric("skerry_edge_instances_accepted_total") == accepted + 50, "not all came into custody"
        )
    assert edge.held("1.2.88.49")


def test_endless_empty_fragments_take_no_memory(edge: TunedEdge, figures: Figures) -> None:
    """An object that never grows: PDVs without content, for ever."""
    empty = pdus.p_data(*([pdus.pdv(b"", last=False)] * 1_000))
    with harmless(edge, figures, "endless empty fragments"), associated(edge.dicom_port) as peer:
        peer.send(REQUEST)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            peer.send(empty)
        uid = "1.2.3"
        peer.send(pdus.p_data(pdus.pdv(data_set(uid))))
        assert peer.response().status == 0x0000


@pytest.mark.timeout(900)
def test_connections_that_come_and_go_leave_nothing(edge: TunedEdge, figures: Figures) -> None:
    for _ in range(300):  # warm
        BytePeer(edge.dicom_port).close()
    before = edge.footprint()
    started = time.monotonic()
    for number in range(CONNECTIONS):
        peer = BytePeer(edge.dicom_port)
        peer.reset() if number % 2 else peer.close()
    took = time.monotonic() - started
    come_back(edge, before)
    grown = (edge.footprint().resident - before.resident) / before.resident
    figures(f"hostile: {CONNECTIONS} bare connections in {took:.1f} s, memory {grown:+.2%}")
    assert grown < 0.01
    assert echo_seconds(edge.dicom_port) < ECHO_SECONDS


@pytest.mark.timeout(900)
def test_associations_that_only_ask_whether_we_are_there_leave_nothing(edge: TunedEdge, figures: Figures) -> None:
    for _ in range(300):  # warm
        echo_seconds(edge.dicom_port)
    before = edge.footprint()
    slowest = max(echo_seconds(edge.dicom_port) for _ in range(ECHOES))
    come_back(edge, before)
    grown = (edge.footprint().resident - before.resident) / before.resident
    figures(f"hostile: {ECHOES} C-ECHO associations, the slowest {slowest * 1000:.0f} ms, memory {grown:+.2%}")
    assert grown < 0.01


def test_idle_associations_cost_next_to_nothing(tmp_path: Path, figures: Figures) -> None:
    """Five hundred examinations that pause: a thread that sleeps in the kernel each, and no window."""
    with (
        TunedEdge(tmp_path, max_associations=600, max_associations_per_peer=0, ready_spool_bytes=0) as edge,
        contextlib.ExitStack() as opened,
    ):
        for _ in range(50):
            good_association(edge)
        before = edge.footprint()
        peers = [opened.enter_context(associated(edge.dicom_port)) for _ in range(IDLE)]
        for peer in peers:
            assert peer.echo() == 0x0000
        time.sleep(3)  # until they have given their windows back
        each = (edge.footprint().resident - before.resident) / IDLE
        spent = -_seconds_spent(edge)
        time.sleep(IDLE_SECONDS)
        spent = (spent + _seconds_spent(edge)) / IDLE_SECONDS
        figures(f"hostile: {IDLE} idle associations: {each / 1024:.0f} KiB each, {spent:.2%} of a core in all")
        assert each < 64 << 10
        assert spent < 0.02
        assert all(peer.echo() == 0x0000 for peer in peers)
        assert echo_seconds(edge.dicom_port) < ECHO_SECONDS


def _seconds_spent(edge: TunedEdge) -> float:
    """Processor time of those processes that receive."""
    receiving = [
        one for one in psutil.Process(edge.pid).children(recursive=True) if "ingest" in " ".join(one.cmdline())
    ]
    assert receiving
    return sum(sum(one.cpu_times()[:2]) for one in receiving)
