"""`python -m tests.bench.bare_forwarder PORT FILE...`: the forwarder alone, from a filled spool, without a queue.

What a node's sending row shows beside this one is what claiming and settling cost.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from edge.buffer.part10 import FileMeta
from edge.buffer.store import Buffer
from edge.forward.base import Accepted, Outcome
from edge.forward.budget import Meters
from edge.forward.registry import forwarder_for
from edge.model import AssociationFacts, ClaimedDelivery, DicomDestination
from provisioning.local.dataset import read_part10
from provisioning.local.ports import LOOPBACK
from tests.bench.sink import AE_TITLE

_FACTS = AssociationFacts(calling_ae_title="BENCH", called_ae_title="SKERRY", peer_address=LOOPBACK)


def send(port: int, files: list[Path], data_dir: Path) -> int:
    """Put the files into a spool and deliver them; returns how many were not accepted."""
    buffer = Buffer(data_dir)
    claimed = [_claimed(buffer, number, path) for number, path in enumerate(files)]
    open_ = {one.delivery_id for one in claimed}

    def settle(delivery: ClaimedDelivery, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            open_.discard(delivery.delivery_id)

    destination = DicomDestination(name="sink", host=LOOPBACK, port=port, ae_title=AE_TITLE)
    forwarder = forwarder_for(destination, buffer.spool, data_dir, Meters())
    forwarder.deliver(claimed, settle)
    forwarder.close()
    buffer.close()
    return len(open_)


def _claimed(buffer: Buffer, number: int, path: Path) -> ClaimedDelivery:
    part = read_part10(path)
    meta = FileMeta(
        sop_class_uid=part.sop_class_uid,
        sop_instance_uid=part.sop_instance_uid,
        transfer_syntax_uid=part.transfer_syntax_uid,
        facts=_FACTS,
    )
    return ClaimedDelivery(
        delivery_id=number,
        destination="sink",
        attempts=1,
        sealed=buffer.receive(meta).seal((part.data_set,)),
        study_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as folder:
        sys.exit(send(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]], Path(folder)))
