"""What it costs to route one instance, off the way of the answer: read, decide, and commit its rows and event."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from edge.buffer.store import Buffer
from edge.health import HealthBoard
from edge.policy.document import load_policy
from edge.routing import BATCH, Router
from tests.conftest import Figures
from tests.edge_samples import take

INSTANCES = 4 * BATCH
POLICY = """
skerry: 1
destinations:
  - {name: pacs, kind: dicom, ae_title: PACS, host: 10.0.0.5, port: 104}
  - {name: archive, kind: folder, path: /mnt/archive}
routes:
  - {name: all-ct, when: 'Modality == "CT" && calling_ae_title.startsWith("SCAN")', to: [pacs, archive]}
  - {name: chest, when: 'StudyDescription.contains("CHEST") && Rows < 1024', to: [pacs]}
  - {name: mr, when: 'Modality == "MR" || present("MagneticFieldStrength")', to: [archive]}
"""


def test_routing_an_instance_costs_a_fraction_of_a_millisecond(tmp_path: Path, figures: Figures) -> None:
    buffer = Buffer(tmp_path)
    policy = load_policy(POLICY)
    router = Router(buffer, HealthBoard(), lambda: policy, b"k" * 32)
    try:
        sealed = [take(buffer, f"1.2.3.{number}") for number in range(INSTANCES)]
        costs = []
        for start in range(0, INSTANCES, BATCH):
            batch = sealed[start : start + BATCH]
            before = time.process_time_ns()
            assert router.admit(batch) == BATCH
            costs.append((time.process_time_ns() - before) / BATCH / 1000)
        assert len(buffer.claim("pacs", INSTANCES)) == INSTANCES
    finally:
        buffer.close()
    cost = statistics.median(costs)
    figures(f"routing: {cost:.0f} us of CPU for each instance, in batches of {BATCH}, with three conditions")
    assert cost < 500
