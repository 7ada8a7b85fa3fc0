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

_CHILD = """
import os, signal, sys
from pathlib import Path
from edge.buffer import spool, writer
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from tests.edge_samples import data_set, meta, routed

def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

step = sys.argv[2]
buffer = Buffer(Path(sys.argv[1]))
reception = buffer.receive(meta("1.2.3.4"))
reception.write(data_set("1.2.3.4")[:100])
if step == "in the middle of the object":
    die()
reception.write(data_set("1.2.3.4")[100:])
if step == "before the seal":
    die()
if step == "before the sync":
    os.fdatasync = die
sealed = reception.seal()
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
if step == "before the file is released":
    buffer.spool.release = die
from datetime import timedelta
buffer.release_delivered(timedelta(0))
die()
"""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What one moment leaves for the next start."""

    acknowledged: bool
    found: Recovered
    due: int
    files: int


NOTHING = Recovered()
MOMENTS = {
    "in the middle of the object": Left(acknowledged=False, found=Recovered(unfinished=1), due=0, files=0),
    "before the seal": Left(acknowledged=False, found=Recovered(unfinished=1), due=0, files=0),
    # Sealed but not yet acknowledged: taking it is allowed, the modality sends it again.
    "before the sync": Left(acknowledged=False, found=Recovered(adopted=1), due=1, files=1),
    "before the row": Left(acknowledged=True, found=Recovered(adopted=1), due=1, files=1),
    "before the commit": Left(acknowledged=True, found=Recovered(adopted=1), due=1, files=1),
    "before the claim": Left(acknowledged=True, found=NOTHING, due=1, files=1),
    "while it is sent": Left(acknowledged=True, found=Recovered(resumed=1), due=1, files=1),
    "after it was delivered": Left(acknowledged=True, found=NOTHING, due=0, files=1),
    "before the file is released": Left(acknowledged=True, found=NOTHING, due=0, files=0),
    "after the file was released": Left(acknowledged=True, found=NOTHING, due=0, files=0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_leaves_a_state_that_the_next_start_repairs(tmp_path: Path, moment: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path), moment],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    expected = MOMENTS[moment]
    assert ("acknowledged" in ended.stdout) == expected.acknowledged
    for attempt in ("first start", "second start"):
        buffer = Buffer(tmp_path)
        try:
            found = recover(buffer, functools.partial(_admit, buffer))
            assert found == (expected.found if attempt == "first start" else NOTHING)
            assert len(list(buffer.spool.instance_ids())) == expected.files
            if attempt == "second start":
                claimed = buffer.claim("pacs", 10)
                assert len(claimed) == expected.due
                for held in claimed:
                    buffer.spool.verify(held.sealed)
                    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
        finally:
            buffer.close()


def _admit(buffer: Buffer, batch: Sequence[SealedInstance]) -> int:
    return buffer.admit([routed(one, "pacs") for one in batch])
