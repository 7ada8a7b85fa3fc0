"""The measure of a hostile peer: another client is served at once, and the node ends up with what it held before."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.byte_peer import associated, echo_seconds
from tests.conftest import Figures
from tests.edge_door import Footprint, TunedEdge
from tests.edge_samples import data_set
from tests.hostile_probes import TIMEOUT

ECHO_SECONDS = 1.0
REMEDY_SECONDS = 12.0
MEBIBYTE = 1 << 20
_numbers = itertools.count(1)


def good_association(edge: TunedEdge) -> None:
    """One instance, one C-ECHO, one release."""
    uid = f"1.2.77.{next(_numbers)}"
    with associated(edge.dicom_port, calling=b"GOOD") as peer:
        assert peer.store(uid, data_set(uid)) == 0x0000
        assert peer.echo() == 0x0000
        assert peer.release()


@contextlib.contextmanager
def node_among_hostile_peers(data_dir: Path, **limits: int) -> Iterator[TunedEdge]:
    """A node that waits for peers as long as the probes expect, and holds at its end what it held before them."""
    with TunedEdge(
        data_dir,
        to=(),
        policy=None,
        pdu_timeout_seconds=TIMEOUT,
        dimse_timeout_seconds=TIMEOUT,
        artim_timeout_seconds=TIMEOUT,
        ready_spool_bytes=0,  # no files that are held ready: every descriptor counts
        **limits,
    ) as node:
        for _ in range(20):
            good_association(node)  # warm: every process has served
        before = node.footprint()
        yield node
        come_back(node, before)
        assert "Traceback" not in node.log_text()


def is_back(now: Footprint, before: Footprint) -> bool:
    """Whether threads and descriptors are where they were, but for what a thread opens when first needed."""
    return now.threads <= before.threads + 1 and now.descriptors <= before.descriptors + 6


def come_back(edge: TunedEdge, before: Footprint) -> None:
    """Return once threads and descriptors are where they were; fail when they are not in time."""
    deadline = time.monotonic() + REMEDY_SECONDS
    while not is_back(now := edge.footprint(), before):
        assert time.monotonic() < deadline, f"it holds more than before: {before} became {now}"
        time.sleep(0.1)


@contextlib.contextmanager
def harmless(edge: TunedEdge, figures: Figures | None = None, name: str = "", *, grows: int = 24) -> Iterator[None]:
    """Another client's C-ECHO takes less than a second during and after; memory, threads and descriptors come back.

    `grows` bounds in MiB what the node may take meanwhile. With `figures`, what was seen is told under `name`.
    """
    before = edge.footprint()
    slowest, most, stop = 0.0, before.resident, threading.Event()
    failures: list[BaseException] = []

    def watch() -> None:
        nonlocal slowest, most
        try:
            while not stop.is_set():
                slowest = max(slowest, echo_seconds(edge.dicom_port))
                most = max(most, edge.footprint().resident)
                stop.wait(0.1)
        except BaseException as error:
            failures.append(error)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join(15)
    assert not failures, f"the other client failed: {failures[0]!r}\n{edge.log_end()}"
    slowest = max(slowest, echo_seconds(edge.dicom_port))
    if figures is not None:
        growth = (most - before.resident) / MEBIBYTE
        figures(f"hostile: {name}: another client's C-ECHO {slowest * 1000:.0f} ms at most, memory +{growth:.1f} MiB")
    assert slowest < ECHO_SECONDS
    assert most - before.resident < grows * MEBIBYTE
    come_back(edge, before)
