"""Kills the way of a policy at its n-th durable step, for every n: run as a program, it forks once for each.

A step is a sync, a rename or a removal: what a power cut can fall between. At a sync the file that was not synced yet
is cut in half, as a disk may have it. Prints one JSON line for each kill.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from edge.health import HealthBoard
from edge.sync.conditions import LinkHealth
from edge.sync.policy_pipeline import PolicyPipeline
from edge.sync.policy_start import begin
from edge.sync.policy_store import PolicyStore
from edge.sync.probation import Counts, Terms
from mesh.v1.common_pb2 import PolicyBundle

TERMS = Terms(seconds=60)


class Box:
    """The pipeline of a node without a node; its clock and counters are set by hand."""

    def __init__(self, data_dir: Path, key: bytes) -> None:
        self.data_dir, self.key = data_dir, key
        self.now, self.counts = 0.0, Counts()
        self.start()

    def start(self) -> None:
        """As core starts."""
        begin(self.store(), TERMS)
        stored = self.store().load()
        self.pipeline = PolicyPipeline(
            policies=self.store(),
            health=LinkHealth(HealthBoard()),
            running=stored.bundle if stored else None,
            apply_policy=lambda _: None,
            counts=lambda: self.counts,
            terms=TERMS,
            monotonic=lambda: self.now,
        )

    def store(self) -> PolicyStore:
        """The policies on the disk, as a new process finds them."""
        return PolicyStore(self.data_dir, site="north", public_key=self.key)

    def offer(self, version: int) -> None:
        """The centre offers one of the prepared policies."""
        bundle = PolicyBundle.FromString((self.data_dir / "offers" / str(version)).read_bytes())
        self.pipeline.consider(bundle, asked_with=self.pipeline.running)

    def watch(self) -> None:
        """The probation is over, or there is harm."""
        self.now += 61
        self.pipeline.watch()

    def does_harm(self) -> None:
        """Deliveries fail from now on."""
        self.counts = Counts(accepted=50, parked=50)


def committed(box: Box) -> None:
    """Offered, on probation, committed."""
    box.offer(2)
    box.watch()


def taken_back(box: Box) -> None:
    """Offered, on probation, does harm."""
    box.offer(2)
    box.does_harm()
    box.watch()


def overtaken(box: Box) -> None:
    """A newer one comes while it is on probation."""
    box.offer(2)
    box.offer(3)
    box.watch()


def dies_of_it(box: Box) -> None:
    """Core starts again and again."""
    box.offer(2)
    for _ in range(4):
        box.start()


WAYS: Mapping[str, Callable[[Box], None]] = {
    one.__name__: one for one in (committed, taken_back, overtaken, dies_of_it)
}


def die_at(step: int) -> None:
    """End this process as a power cut would, before its n-th durable step from now."""
    left = step

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                if real is sync:
                    _tear(int(str(arguments[0])))
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    sync = os.fsync
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))


def _tear(descriptor: int) -> None:
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        os.ftruncate(descriptor, found.st_size // 2)


def main() -> None:
    """`python -m tests.policy_kills BASE INTO KEY`: a copy of BASE for each kill, left in INTO as the kill left it."""
    base, into, key = Path(sys.argv[1]), Path(sys.argv[2]), bytes.fromhex(sys.argv[3])
    for way, follow in WAYS.items():
        step, died = 0, True
        while died:
            step += 1
            data_dir = into / f"{way}-{step:03d}"
            shutil.copytree(base, data_dir)
            if (child := os.fork()) == 0:
                box = Box(data_dir, key)
                die_at(step)
                follow(box)
                os._exit(0)
            died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
            print(json.dumps({"way": way, "step": step, "died": died, "data_dir": str(data_dir)}), flush=True)


if __name__ == "__main__":
    main()
