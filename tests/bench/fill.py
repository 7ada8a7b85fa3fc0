"""`python -m tests.bench.fill DATA_DIR COUNT DESTINATION`: a node's buffer after long custody, made in minutes.

Each instance goes the node's own way: a spool file with its seal, a row, a delivery that waits for the destination,
and an event. Only the syncs are left out and done once at the end, because nobody waits for an answer here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge.buffer.part10 import FileMeta
from edge.buffer.shelves import shelf_names
from edge.buffer.store import Buffer
from edge.housekeeping import EVENTS_WITHOUT_CENTRE
from edge.model import AssociationFacts, Decision, RoutedInstance, RouteOutcome

_CT = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_FACTS = AssociationFacts(calling_ae_title="BENCH", called_ae_title="SKERRY", peer_address="127.0.0.1")
_ROOT = "1.2.826.0.1.3680043.10.1"
_PER_SERIES, _PER_STUDY = 100, 400
_BATCH = 1000


def fill(data_dir: Path, count: int, destination: str) -> None:
    """Put so many instances into the buffer of a node that is not running."""
    buffer = Buffer(data_dir)
    for number, batch in enumerate(_batches(buffer, count, destination)):
        buffer.admit(batch)
        if number % 50 == 49:
            buffer.telling.keep_newest(EVENTS_WITHOUT_CENTRE)
            buffer.bound_wal()
            print(f"{(number + 1) * _BATCH} of {count}", flush=True)
    buffer.telling.keep_newest(EVENTS_WITHOUT_CENTRE)
    spool = data_dir / "spool"
    for shelf in shelf_names(spool):
        buffer.slots.close_shelf(shelf)  # every file has its row, as housekeeping would have found by now
    buffer.scanned()
    buffer.bound_wal()
    buffer.close()


def _batches(buffer: Buffer, count: int, destination: str) -> Iterator[list[RoutedInstance]]:
    outcome = RouteOutcome(route="everything", matched=True, reason="no condition")
    decision = Decision(policy="local:bench", outcomes=(outcome,), destinations=(destination,))
    for first in range(0, count, _BATCH):
        yield [_one(buffer, number, decision) for number in range(first, min(count, first + _BATCH))]


def _one(buffer: Buffer, number: int, decision: Decision) -> RoutedInstance:
    uid, study = f"{_ROOT}.3.{number}", f"{_ROOT}.1.{number // _PER_STUDY}"
    series = f"{_ROOT}.2.{number // _PER_SERIES}"
    meta = FileMeta(sop_class_uid=_CT, sop_instance_uid=uid, transfer_syntax_uid=_EXPLICIT, facts=_FACTS)
    sealed = buffer.receive(meta).seal((_data_set(uid, study, series),))
    shared = {"SOPInstanceUID": uid, "StudyInstanceUID": study, "SeriesInstanceUID": series, "Modality": "CT"}
    return RoutedInstance(
        sealed=sealed,
        study_instance_uid=study,
        series_instance_uid=series,
        decision=decision,
        flags=(),
        shared_tags=shared,
    )


def _data_set(uid: str, study: str, series: str) -> bytes:
    """A little more than a kilobyte, in explicit VR little endian (PS3.5 section 7.1.2)."""
    texts = (
        (0x0008, 0x0016, b"UI", _CT),
        (0x0008, 0x0018, b"UI", uid),
        (0x0008, 0x0060, b"CS", "CT"),
        (0x0010, 0x0020, b"LO", "BENCH"),
        (0x0020, 0x000D, b"UI", study),
        (0x0020, 0x000E, b"UI", series),
    )
    head = b"".join(_element(group, element, vr, text.encode()) for group, element, vr, text in texts)
    return head + b"\xe0\x7f\x10\x00OB\0\0" + (1024).to_bytes(4, "little") + bytes(1024)


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return group.to_bytes(2, "little") + element.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value


def _without_syncs() -> None:
    def nothing(_descriptor: int) -> None:
        """Done once, by os.sync, when everything is written."""

    os.fsync = os.fdatasync = nothing  # type: ignore[assignment]


if __name__ == "__main__":
    began = time.monotonic()
    _without_syncs()
    fill(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    os.sync()
    print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
