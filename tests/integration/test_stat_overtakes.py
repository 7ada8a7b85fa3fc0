"""A stat study behind thousands of bulk images for one PACS (DCMTK's storescp) is there before 100 more of them are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.buffer.view import BufferView, QueueFilter
from edge.forward.lanes import Lanes
from edge.health import HealthBoard
from edge.model import DicomDestination, Priority
from edge.settings import EdgeSettings
from provisioning.local.storescp import StoreScp
from tests.conftest import Figures
from tests.edge_samples import data_set, routed, take

BULK = 5000 if os.environ.get("SKERRY_SOAK") == "1" else 1000
"""The objects are CT by their SOP class and small, so that it is the queue that is long and not the disk."""
STAT = 50
IMAGES_OF_A_STUDY = 200
pytestmark = pytest.mark.timeout(180)


def _admit(buffer: Buffer, priority: Priority, uids: Sequence[str]) -> None:
    """In studies of a few hundred images."""
    found = []
    for number, uid in enumerate(uids):
        one = routed(take(buffer, uid, data_set(uid, body=bytes(16_000))), "pacs")
        study = f"1.2.3.{priority}.{number // IMAGES_OF_A_STUDY}"
        decision = replace(one.decision, priorities={"pacs": priority})
        found.append(replace(one, study_instance_uid=study, decision=decision))
    buffer.admit(found)


def _delivered(buffer: Buffer, priority: Priority) -> int:
    return buffer.tally()["delivered", priority]


def _until(seconds: float, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("associations", [1, 2])
def test_a_stat_study_is_delivered_before_a_hundred_more_bulk_images(
    buffer: Buffer, pacs: StoreScp, tmp_path: Path, figures: Figures, associations: int
) -> None:
    _admit(buffer, Priority.BULK, [f"1.2.1.{n}" for n in range(BULK)])
    destination = DicomDestination(
        name="pacs", host="127.0.0.1", port=pacs.port, ae_title=pacs.ae_title, associations=associations
    )
    lanes = Lanes(EdgeSettings(data_dir=Path("unused")), buffer, HealthBoard())
    with ExitStack() as stack:
        stack.callback(lanes.stop)
        lanes.match([destination])
        _until(30, lambda: _delivered(buffer, Priority.BULK) >= 150)
        _admit(buffer, Priority.STAT, [f"1.2.2.{n}" for n in range(STAT)])
        came = time.time()
        _until(60, lambda: _delivered(buffer, Priority.STAT) == STAT)
    arrived = {path.name.removeprefix("CT."): path.stat().st_mtime for path in pacs.folder.iterdir()}
    last = max(when for uid, when in arrived.items() if uid.startswith("1.2.2."))
    bulk = [when for uid, when in arrived.items() if uid.startswith("1.2.1.")]
    more = sum(came < when <= last for when in bulk)
    figures(
        f"stat study of {STAT} behind {BULK} bulk images over {associations} association(s):"
        f" {more} more bulk images before its last, which came after {last - came:.2f} s"
    )
    assert more < 100
    assert sum(when <= last for when in bulk) < BULK / 2  # else nothing was overtaken
    assert {one["attempts"] for one in BufferView(tmp_path / "node").queue(QueueFilter(limit=BULK))} <= {0}
