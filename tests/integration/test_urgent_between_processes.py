"""Core admits and another process delivers: what is urgent overtakes there too, and every instance is accounted for."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_door import TunedEdge
from tests.edge_samples import data_set
from tests.real_programs import require
from tests.scu import association, store

pytestmark = pytest.mark.timeout(90)
BULK = 8
POLICY = """
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 127.0.0.1, port: %d}
routes:
  - {name: old, to: [pacs], priority: bulk}
  - {name: urgent, when: 'SOPInstanceUID.startsWith("1.2.9.")', to: [pacs], priority: stat}
"""


def test_a_stat_image_overtakes_in_the_process_that_delivers(tmp_path: Path, figures: Figures) -> None:
    require("storescp")
    policy = tmp_path / "policy.yaml"
    slow = ("--sleep-after", "1")  # it answers, and only then sleeps: what is sent next is on its way at once
    with StoreScp(tmp_path / "pacs", extra=slow) as pacs:
        policy.write_text(POLICY % pacs.port)
        with TunedEdge(tmp_path, policy=policy) as edge:
            with association(edge.dicom_port) as peer:
                for number in range(BULK):
                    assert store(peer, f"1.2.1.{number}", data_set(f"1.2.1.{number}")) == 0
                edge.wait(
                    lambda: edge.metric("skerry_edge_deliveries_by_state", state="sending") > 1, "nothing is sent"
                )
                assert store(peer, "1.2.9.1", data_set("1.2.9.1")) == 0
            came = time.monotonic()
            edge.wait(lambda: "1.2.9.1" in pacs.received(), "the urgent one did not come", seconds=BULK)
            seconds, before = time.monotonic() - came, len(pacs.received()) - 1
            queue = json.loads(edge.command("queue", "--json"))
            assert {one["priority"] for one in queue} <= {"bulk", "stat"}
            states = edge.facts()["deliveries"]
            assert sum(states["bulk"].values()) == BULK
            edge.wait(
                lambda: edge.metric("skerry_edge_deliveries_by_state", state="delivered") == BULK + 1,
                "not all were delivered",
                seconds=2 * BULK,
            )
            # Every delivery that was admitted is in one state.
            assert edge.metric("skerry_edge_deliveries_by_state") == BULK + 1
            assert edge.metric("skerry_edge_instances_accepted_total") == BULK + 1
    figures(
        f"stat across processes, a PACS that takes 1 s for each: there after {seconds:.1f} s, {before} bulk before it"
    )
    assert before <= 3
