"""The row of the big buffer: a node that holds a million instances beside one that holds none.

They all wait for a PACS that is down, as after a long outage. Asked: intake as on the empty node, a quick start, and
little memory.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from provisioning.local.edge import Edge
from provisioning.local.ports import LOOPBACK, free_port
from provisioning.local.program import Program
from tests.bench.arena import Arena, settle_disks
from tests.bench.footprint import Footprint, footprint
from tests.bench.receivers import Receiver, as_receiver
from tests.bench.results import Bound, Line
from tests.bench.senders import TransferFailed, timed
from tests.bench.waiting import until

_BYTES_EACH = 8 << 10
"""Room that one instance of a kilobyte takes, its row and its events included."""
_FILL_SECONDS = 3600.0
_PACS = "DOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What was seen of one run of a node."""

    start_seconds: float
    idle: Footprint
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Million:
    """One row of four lines."""

    name: str = "million"
    needs: tuple[tuple[str, str], ...] = (("dcmsend", "dcmtk"),)

    def measure(self, arena: Arena) -> Iterator[Line]:
        """Fill once, then take turns: the full node, and an empty one."""
        with arena.fresh_folder() as folder:
            full = folder / "full"
            seconds = _fill(full, arena)
            numbers = iter(range(1_000_000))
            seen: list[Turn] = []
            seen_empty: list[Turn] = []

            def on_the_full_one() -> tuple[float, ...]:
                seen.append(_turn(arena, full, next(numbers), held=arena.held))
                return (seen[-1].rate, seen[-1].start_seconds)

            def on_an_empty_one() -> tuple[float, ...]:
                with arena.fresh_folder() as other:
                    seen_empty.append(_turn(arena, other / "empty", next(numbers), held=0))
                return (seen_empty[-1].rate, seen_empty[-1].start_seconds)

            arena.alternate(on_the_full_one, on_an_empty_one)
            after_kill = _start_after_kill(full)
            details = {"held": arena.held, "fill_seconds": seconds, "idle": asdict(seen[-1].idle)}
            yield from _lines(seen, seen_empty, after_kill, details)
            arena.say("  removing the buffer, which takes minutes when it is big")


def _lines(seen: list[Turn], empty: list[Turn], after_kill: float, details: dict[str, object]) -> Iterator[Line]:
    quick = Bound(sense="<", value=2, unit="s")
    yield Line(
        name="million.intake",
        unit="/s",
        ours=tuple(turn.rate for turn in seen),
        peer=tuple(turn.rate for turn in empty),
        peer_name="empty",
        bound=Bound(sense=">=", value=0.9),
        details=details,
    )
    starts = tuple(turn.start_seconds for turn in seen)
    yield Line(name="million.start", unit="s", ours=starts, bound=quick, details={"empty": empty[-1].start_seconds})
    yield Line(name="million.start-after-kill", unit="s", ours=(after_kill,), bound=quick)
    yield Line(
        name="million.memory",
        unit="MB",
        ours=tuple(turn.idle.resident / 1e6 for turn in seen),
        bound=Bound(sense="<", value=200, unit="MB"),
        details={"empty": empty[-1].idle.resident / 1e6},
    )


def _fill(data_dir: Path, arena: Arena) -> float:
    """Make the big buffer; returns how long it took."""
    wanted, free = arena.held * _BYTES_EACH, shutil.disk_usage(arena.folder).free
    if wanted > free:
        raise TransferFailed(f"{arena.held} instances need {wanted >> 30} GiB, and {free >> 30} GiB are free")
    arena.say(f"  filling a buffer with {arena.held} instances")
    began = time.perf_counter()
    argv = [sys.executable, "-m", "tests.bench.fill", str(data_dir), str(arena.held), _PACS]
    with Program(name="fill", argv=argv, log_dir=data_dir.parent / "log") as program:
        if program.wait_end(seconds=_FILL_SECONDS) != 0:
            raise TransferFailed(f"the buffer could not be filled\n{program.log_end(3)}")
    return time.perf_counter() - began


@contextmanager
def _node(data_dir: Path) -> Iterator[tuple[Edge, Receiver, float]]:
    """A node, and how long it took to be ready; stopped in good order, because it is started again."""
    edge = Edge(data_dir, to=[f"{_PACS}@{LOOPBACK}:{free_port()}"])
    began = time.perf_counter()
    try:
        edge.start()
        seconds = time.perf_counter() - began
        yield edge, as_receiver(edge), seconds
    except TransferFailed as error:
        raise TransferFailed(f"{error}\n{edge.log_end(1)}") from None
    finally:
        edge.stop()  # also one that was interrupted while it started


def _turn(arena: Arena, data_dir: Path, number: int, *, held: int) -> Turn:
    """Start the node, look at it while it is idle, and send to it what it has not seen yet."""
    warm = arena.data.warm("small", batch=f"turn-{number}-warm")
    files = arena.data.files("small", batch=f"turn-{number}")
    with _node(data_dir) as (edge, receiver, start_seconds):
        before = receiver.held()
        if before < held:
            raise TransferFailed(f"the node holds {before} of {held} instances")
        time.sleep(arena.rest_seconds)
        idle = footprint(edge.pid)
        timed([warm], receiver.port, nagle=False)
        until(lambda: receiver.held() >= before + len(warm), "the warm-up to be held", seconds=60)
        if arena.prepares:
            receiver.get_ready()
        settle_disks()
        seconds = timed([files], receiver.port, nagle=False)
        wanted = before + len(warm) + len(files)
        until(lambda: receiver.held() >= wanted, f"the node to hold {wanted}", seconds=120)
    return Turn(start_seconds=start_seconds, idle=idle, rate=len(files) / seconds)


def _start_after_kill(data_dir: Path) -> float:
    """How long a start takes after a power cut, as far as a killed process is one."""
    with _node(data_dir) as (edge, _receiver, _seconds):
        edge.kill()
    with _node(data_dir) as (_edge, _receiver, seconds):
        return seconds
