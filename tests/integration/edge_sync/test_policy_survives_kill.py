"""kill -9 while policies are activated, again and again: the next start always finds a complete one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from edge.sync.policy_store import PolicyStore
from tests.certificates import MeshAuthority
from tests.signed_policies import bundle

KILLS = 12

WRITER = """
import sys
from pathlib import Path
from edge.sync.policy_store import PolicyStore
from mesh.v1.common_pb2 import PolicyBundle
folder, key = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
store = PolicyStore(folder, site="north", public_key=key)
bundles = [PolicyBundle.FromString(path.read_bytes()) for path in sorted((folder / "offers").iterdir())]
print("ready", flush=True)
for bundle in bundles:
    store.activate(bundle)
    print(bundle.version.version, flush=True)
"""


def test_kill_9_between_any_two_steps_leaves_a_complete_policy(tmp_path: Path) -> None:
    mesh = MeshAuthority()
    offers = tmp_path / "offers"
    offers.mkdir()
    for version in range(1, 2001):
        (offers / f"{version:05d}").write_bytes(bundle(mesh, version).SerializeToString())
    store = PolicyStore(tmp_path, site="north", public_key=mesh.policy_public_key)
    chance = random.Random(4)
    for _ in range(KILLS):
        told = _write_and_kill(tmp_path, mesh, after=chance.uniform(0.0, 0.15))
        stored = store.load()
        assert stored is not None
        assert stored.passed_over == ()
        # What was told as active is on the disk; the one after it may be there already.
        assert stored.bundle.version.version in (told, told + 1)


def _write_and_kill(folder: Path, mesh: MeshAuthority, *, after: float) -> int:
    """The last version that the writer told as active before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), mesh.policy_public_key.hex()],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        told = int(writer.stdout.readline())
        time.sleep(after)
        writer.send_signal(signal.SIGKILL)
        rest = [line for line in writer.stdout.read().split("\n")[:-1] if line]
    return int(rest[-1]) if rest else told
