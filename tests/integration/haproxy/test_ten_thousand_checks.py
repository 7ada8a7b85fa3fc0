"""HAProxy's health check leaves a node as it was, however often it comes (a leak of other servers: pynetdicom#669)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from haproxy.upgrade.probe import DicomDoor, probe
from provisioning.local.ports import LOOPBACK, free_port
from tests.conftest import Figures
from tests.edge_door import TunedEdge

CHECKS = 10_000
WARM = 500


@pytest.mark.timeout(240)
def test_ten_thousand_checks_leave_memory_threads_and_descriptors_as_they_were(
    tmp_path: Path, figures: Figures
) -> None:
    with TunedEdge(tmp_path, proxy_from=[LOOPBACK], agent=f"{LOOPBACK}:{free_port()}") as node:
        door = DicomDoor(host=LOOPBACK, port=node.dicom_port, called="SKERRY", calling="HAPROXY", proxied=True)
        for _ in range(WARM):
            assert probe(door) == ""
        time.sleep(1)
        before, logged = node.footprint(), len(node.log_text())
        begun = time.monotonic()
        for _ in range(CHECKS):
            assert probe(door) == ""
        seconds = time.monotonic() - begun
        node.wait(lambda: node.ended("health-check") == WARM + CHECKS, "all are counted")
        node.wait(lambda: node.footprint().threads <= before.threads, "their threads are gone")
        after = node.footprint()
        grown = (after.resident - before.resident) / (1 << 20)
        figures(
            f"health checks: {CHECKS} in {seconds:.0f} s, memory {grown:+.1f} MiB, threads {before.threads} and "
            f"{after.threads}, descriptors {before.descriptors} and {after.descriptors}"
        )
        assert grown < 3
        assert after.threads <= before.threads
        assert after.descriptors <= before.descriptors + 10, "a few for what it does beside, and none for each check"
        assert len(node.log_text()) - logged < 2_000, "the log says nothing of them"
