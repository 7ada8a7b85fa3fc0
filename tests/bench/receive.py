"""Rows that receive: the same senders, the same files, ours and a peer in turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.arena import Arena, settle_disks
from tests.bench.data import SHAPES
from tests.bench.receivers import OURS, Contestant, Match
from tests.bench.results import Bound, Line
from tests.bench.senders import timed
from tests.bench.waiting import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """One row: what is sent, by how many, to whom beside us."""

    data: str
    peer: Contestant
    senders: int = 1
    nagle: bool = False
    share: float = 1.0
    """The part of the set that is sent, where the peer would take minutes."""
    bound: Bound | None = None

    @property
    def name(self) -> str:
        """As `--rows` takes it."""
        senders = "" if self.senders == 1 else f"{self.senders}"
        return f"receive{senders}{'-nagle' if self.nagle else ''}.{self.data}.{self.peer.name}"

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """Programs, and the packages that bring them."""
        return (("dcmsend", "dcmtk"), (self.peer.program, self.peer.package))

    @property
    def unit(self) -> str:
        """Big objects are told in bytes."""
        return "MB/s" if self.data == "big" else "/s"

    def measure(self, arena: Arena, *, ours: Contestant = OURS) -> Iterator[Line]:
        """The pairs of this row."""
        mine, peer = arena.alternate(lambda: self._turn(arena, ours), lambda: self._turn(arena, self.peer))
        yield Line(
            name=self.name,
            unit=self.unit,
            ours=tuple(rate for (rate,) in mine),
            peer=tuple(rate for (rate,) in peer),
            peer_name=self.peer.name,
            bound=self.bound,
            details={"senders": self.senders, "nagle": self.nagle, "instances": self._count(arena)},
        )

    def _turn(self, arena: Arena, contestant: Contestant) -> tuple[float]:
        """Instances, or megabytes, that arrived in a second."""
        batches = self._batches(arena)
        warm = arena.data.warm(self.data)
        total = sum(map(len, batches))
        with arena.fresh_folder() as folder:
            match = Match(folder=folder, nagle=self.nagle, senders=self.senders)
            with contestant.start(match) as receiver:
                warmed = len(warm) * len(receiver.doors)
                timed([warm] * len(receiver.doors), *receiver.doors, nagle=False)
                until(lambda: receiver.held() >= warmed, "the warm-up to be held", seconds=60)
                if arena.prepares:
                    receiver.get_ready()
                settle_disks()
                seconds = timed(batches, *receiver.doors, nagle=self.nagle)
                wanted = total + warmed
                until(lambda: receiver.held() >= wanted, f"{contestant.name} to hold {wanted}", seconds=120)
        per_instance = SHAPES[self.data].pixel_bytes / 1e6 if self.data == "big" else 1
        return (total * per_instance / seconds,)

    def _batches(self, arena: Arena) -> list[tuple[Path, ...]]:
        """Each sender's own instances."""
        return [arena.data.files(self.data, batch=f"sender-{n}", share=self.share) for n in range(self.senders)]

    def _count(self, arena: Arena) -> int:
        return sum(map(len, self._batches(arena)))
