"""Rows of the whole way: a modality sends to a contestant, which forwards to a sink at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.arena import Arena, settle_disks
from tests.bench.receivers import OURS, Contestant, Match
from tests.bench.results import Bound, Line
from tests.bench.senders import SEND_SECONDS, timed
from tests.bench.sink import sink

_INSTANT = 0.005
"""The file system's clock ticks so; a shorter time is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """One row of two lines: the whole way, and its tail after the modality has ended."""

    data: str
    peer: Contestant
    share: float = 1.0
    bound: Bound | None = None

    @property
    def name(self) -> str:
        """As `--rows` takes it."""
        return f"relay.{self.data}.{self.peer.name}"

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """Programs, and the packages that bring them."""
        return (("dcmsend", "dcmtk"), ("storescp", "dcmtk"), (self.peer.program, self.peer.package))

    def measure(self, arena: Arena) -> Iterator[Line]:
        """The pairs of this row."""
        ours, peer = arena.alternate(lambda: self._turn(arena, OURS), lambda: self._turn(arena, self.peer))
        meanings = (
            ("", "from the first byte sent to the last instance at the sink"),
            (".tail", "from the last byte sent to the last instance at the sink"),
        )
        for column, (suffix, meaning) in enumerate(meanings):
            yield Line(
                name=self.name + suffix,
                unit="/s",
                ours=tuple(figures[column] for figures in ours),
                peer=tuple(figures[column] for figures in peer),
                peer_name=self.peer.name,
                bound=self.bound,
                details={"measured": meaning, "seconds_ours": _seconds(ours), "seconds_peer": _seconds(peer)},
            )

    def _turn(self, arena: Arena, contestant: Contestant) -> tuple[float, ...]:
        """Instances in a second on the whole way and on the tail; then the seconds: whole, sending, tail."""
        files = arena.data.files(self.data, batch="sender-0", share=self.share)
        warm = arena.data.warm(self.data)
        with (
            arena.fresh_folder() as folder,
            sink(folder) as target,
            contestant.start(Match(folder=folder, forward_to=target)) as receiver,
        ):
            timed([warm], receiver.port, nagle=False)
            target.last_arrival(len(warm), seconds=120)
            if arena.prepares:
                receiver.get_ready()
            settle_disks()
            began = time.time()
            timed([files], receiver.port, nagle=False)
            sent = time.time()
            there = target.last_arrival(len(files) + len(warm), seconds=SEND_SECONDS)
        whole, tail = there - began, max(_INSTANT, there - sent)
        return len(files) / whole, len(files) / tail, whole, sent - began, tail


def _seconds(turns: list[tuple[float, ...]]) -> list[dict[str, float]]:
    return [
        dict(zip(("whole", "sending", "tail"), (round(value, 4) for value in turn[2:]), strict=True)) for turn in turns
    ]
