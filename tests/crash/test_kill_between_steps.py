"""The node is killed between every two steps of an image's way; what each moment leaves behind has a name."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.model import SealedInstance
from edge.recovery import Recovered, recover
from tests.edge_samples import routed
from tests.edge_spool import add_slots

_CHILD = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from edge.buffer import slot_file, slot_index
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from tests.edge_samples import data_set, meta, routed
from tests.edge_spool import wait_ready

def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

step, used = sys.argv[2], sys.argv[3] == "used"
buffer = Buffer(Path(sys.argv[1]), ready_bytes=1 << 30)
buffer.receive(meta("1.2.3.4")).discard()
if used:
    wait_ready(buffer._intake, 3)
reception = buffer.receive(meta("1.2.3.4"))
content = data_set("1.2.3.4", body=bytes(range(256)) * 40)
if step in ("in the middle of the object", "before the seal"):
    reception.write([content[:100]])
    if step == "before the seal":
        reception.write([content[100:]])
    die()
real = os.pwritev
if step == "in the middle of the write":
    os.pwritev = lambda file, pieces, at, *flags: real(file, [b"".join(pieces)[:8192]], at) and die()
if step == "before the sync":
    os.fdatasync = die
    os.pwritev = lambda file, pieces, at, flags=0: real(file, pieces, at) and (flags and die() or sum(map(len, pieces)))
sealed = reception.seal([content])
os.pwritev = real
print("acknowledged", flush=True)
if step == "before the row":
    die()
if step == "before the commit":
    execute = buffer._writer._connection.execute
    class Dying:
        def __getattr__(self, name):
            return getattr(real, name)
        def execute(self, sql, *rest):
            return die() if sql == "COMMIT" else execute(sql, *rest)
    real, buffer._writer._connection = buffer._writer._connection, Dying()
buffer.admit([routed(sealed, "pacs")])
if step == "before the claim":
    die()
(held,) = buffer.claim("pacs", 1)
if step == "while it is sent":
    die()
buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
if step == "after it was delivered":
    die()
if step == "before the slot is wiped":
    slot_file.wipe = die
if step == "in the middle of the wipe":
    slot_file.wipe = lambda file, size: os.pwrite(file, bytes(4096), 0) and die()
if step == "before the slot is free":
    slot_index._vacate = die
buffer.release_delivered(timedelta(0))
die()
"""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What one moment leaves for the next start."""

    acknowledged: bool
    found: Recovered
    due: int
    held: int


NOTHING = Recovered()
UNFINISHED = Left(acknowledged=False, found=Recovered(unfinished=1), due=0, held=0)
DONE = Left(acknowledged=True, found=NOTHING, due=0, held=0)
ADOPTED = Left(acknowledged=True, found=Recovered(adopted=1), due=1, held=1)
MOMENTS = {
    "in the middle of the object": UNFINISHED,
    "before the seal": UNFINISHED,
    "in the middle of the write": UNFINISHED,
    # Sealed but not yet acknowledged: taking it is allowed, the modality sends it again.
    "before the sync": Left(acknowledged=False, found=Recovered(adopted=1), due=1, held=1),
    "before the row": ADOPTED,
    "before the commit": ADOPTED,
    "before the claim": Left(acknowledged=True, found=NOTHING, due=1, held=1),
    "while it is sent": Left(acknowledged=True, found=Recovered(resumed=1), due=1, held=1),
    "after it was delivered": Left(acknowledged=True, found=NOTHING, due=0, held=1),
    "before the slot is wiped": DONE,
    "in the middle of the wipe": DONE,
    "before the slot is free": DONE,
    "after the slot was free": DONE,
}


@pytest.mark.parametrize("slot", ["new", "used"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_leaves_a_state_that_the_next_start_repairs(tmp_path: Path, moment: str, slot: str) -> None:
    if slot == "used":
        add_slots(tmp_path, 3)
    ended = _run(tmp_path, moment, slot)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    expected = MOMENTS[moment]
    assert ("acknowledged" in ended.stdout) == expected.acknowledged
    for attempt in ("first start", "second start"):
        buffer = Buffer(tmp_path, ready_bytes=1 << 30)
        try:
            found = recover(buffer, functools.partial(_admit, buffer))
            assert found == (expected.found if attempt == "first start" else NOTHING)
            assert len(list(buffer.spool.instance_ids())) == expected.held
            _every_file_is_held_or_blank_and_free(buffer)
            if attempt == "second start":
                claimed = buffer.claim("pacs", 10)
                assert len(claimed) == expected.due
                for held in claimed:
                    buffer.spool.verify(held.sealed)
                    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
        finally:
            buffer.close()


def test_an_old_seal_in_a_free_slot_is_never_adopted(tmp_path: Path) -> None:
    """As if the disk had forgotten the wipe: the index says which occupancy was the last one."""
    add_slots(tmp_path, 3)
    _run(tmp_path, "before the slot is wiped", "used")
    (left,) = (path for path in (tmp_path / "spool").glob("*/*.dcm") if any(path.read_bytes()))
    before = left.read_bytes()
    buffer = Buffer(tmp_path, ready_bytes=1 << 30)
    assert recover(buffer, functools.partial(_admit, buffer)) == NOTHING
    left.write_bytes(before)
    buffer._writer.write(lambda connection: connection.execute("UPDATE free_slot SET owner = 'gone'").fetchall())
    assert recover(buffer, functools.partial(_admit, buffer)) == NOTHING
    assert not any(left.read_bytes())
    _every_file_is_held_or_blank_and_free(buffer)
    buffer.close()


def _run(data_dir: Path, moment: str, slot: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _CHILD, str(data_dir), moment, slot],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )


def _every_file_is_held_or_blank_and_free(buffer: Buffer) -> None:
    for shelf in buffer.spool.shelves():
        slots = buffer.spool.slots_on(shelf)
        held, free = buffer.slots.occupied(slots), buffer.slots.empty_among(slots)
        assert held.keys() | free.keys() == set(slots)
        assert not held.keys() & free.keys()
        assert all(one.owner is None for one in free.values())
        for slot in free:
            assert not any(buffer.spool.path(slot + "0" * 16).read_bytes())


def _admit(buffer: Buffer, batch: Sequence[SealedInstance]) -> int:
    return buffer.admit([routed(one, "pacs") for one in batch])
