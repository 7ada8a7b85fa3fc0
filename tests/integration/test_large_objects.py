"""Objects of any size pass in constant memory: what grows is the file, never the node."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_peer import BytePeer, echo_seconds
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set

MEBIBYTE = 1 << 20
LARGE = 300 * MEBIBYTE
HUGE = int(4.2 * 1024) * MEBIBYTE
MOST_GROWTH = 40 * MEBIBYTE
_block = os.urandom(MEBIBYTE)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[TunedEdge]:
    with TunedEdge(tmp_path, ready_spool_bytes=0, min_free_bytes=0) as node:
        yield node


def _head(uid: str, size: int) -> bytes:
    """A data set up to its pixels, of which an undefined length is announced: more than 32 bits could say."""
    plain = data_set(uid, body=b"")
    return plain[:-4] + b"\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" if size else plain


def _stream(edge: TunedEdge, uid: str, size: int) -> tuple[int, str, int]:
    """Send an object of this size block by block: status, digest, and the most that the node held meanwhile."""
    digest, most, stop = hashlib.sha256(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.2):
            most = max(most, edge.footprint().resident)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with BytePeer(edge.dicom_port, seconds=120) as peer:
        peer.associate()
        peer.send(pdus.p_data(pdus.pdv(commands.store_rq(uid.encode()), command=True)))
        room = peer.peer_limit - 6
        head = _head(uid, size)
        digest.update(head)
        peer.send(pdus.p_data(pdus.pdv(head, last=False)))
        pieces = [pdus.p_data(pdus.pdv(_block[at : at + room], last=False)) for at in range(0, MEBIBYTE, room)]
        for _ in range(size // MEBIBYTE):
            digest.update(_block)
            peer.send(b"".join(pieces))
        peer.send(pdus.p_data(pdus.pdv(b"")))
        status = peer.response().status
    stop.set()
    watcher.join()
    return status, digest.hexdigest(), most


def _check(edge: TunedEdge, size: int, figures: Figures) -> None:
    assert echo_seconds(edge.dicom_port) < 2
    before = edge.footprint().resident
    status, digest, most = _stream(edge, "1.2.3.4", size)
    grown = most - before
    figures(f"large: an object of {size // MEBIBYTE} MiB, memory {grown / MEBIBYTE:+.1f} MiB")
    assert status == 0x0000
    assert grown < MOST_GROWTH
    (row,) = edge.held("1.2.3.4")
    assert row["data_set_length"] == size + len(_head("1.2.3.4", size))
    stored = hashlib.sha256()
    with edge.file_of("1.2.3.4").open("rb") as stream:
        stream.seek(-int(row["data_set_length"]), os.SEEK_END)
        while block := stream.read(MEBIBYTE):
            stored.update(block)
    assert stored.hexdigest() == digest


def test_an_object_of_three_hundred_megabytes_is_taken_in_constant_memory(edge: TunedEdge, figures: Figures) -> None:
    _check(edge, LARGE, figures)


@pytest.mark.skipif(os.environ.get("SKERRY_SOAK") != "1", reason="4 GB: `make soak` sets SKERRY_SOAK=1")
@pytest.mark.timeout(1200)
def test_an_object_of_more_than_four_gigabytes_is_taken_in_constant_memory(edge: TunedEdge, figures: Figures) -> None:
    _check(edge, HUGE, figures)
