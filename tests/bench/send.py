"""Rows that send: a queue that waits before a sink, ours against another sender with the same files.

The sink is stopped while the node fills up, or while the peer reads its files and knocks. The clock runs from the
moment when the sink goes on to the moment when the last file is whole there, for both sides alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.bench.arena import Arena, settle_disks
from tests.bench.receivers import Match, our_node
from tests.bench.results import Bound, Line
from tests.bench.senders import SEND_SECONDS, bare_forwarder, finished, timed
from tests.bench.sink import Sink, sink
from tests.bench.waiting import until

Peer = Callable[[Sequence[Path], int], AbstractContextManager["Popen[bytes]"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One row: what waits in the queue, and who sends the same beside us."""

    data: str
    peer_name: str
    peer: Peer
    share: float = 1.0
    bare: bool = False
    """The forwarder alone, without the node and its queue."""
    bound: Bound | None = None

    @property
    def name(self) -> str:
        """As `--rows` takes it."""
        return f"send{'-bare' if self.bare else ''}.{self.data}.{self.peer_name}"

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """Programs, and the packages that bring them."""
        return (("dcmsend", "dcmtk"), ("storescp", "dcmtk"))

    def measure(self, arena: Arena) -> Iterator[Line]:
        """The pairs of this row."""
        ours, peer = arena.alternate(
            lambda: (self._bare_turn(arena, bare_forwarder) if self.bare else self._our_turn(arena),),
            lambda: (self._bare_turn(arena, self.peer),),
        )
        yield Line(
            name=self.name,
            unit="/s",
            ours=tuple(rate for (rate,) in ours),
            peer=tuple(rate for (rate,) in peer),
            peer_name=self.peer_name,
            bound=self.bound,
            details={"instances": len(self._files(arena))},
        )

    def _our_turn(self, arena: Arena) -> float:
        files, warm = self._files(arena), arena.data.warm(self.data)
        with (
            arena.fresh_folder() as folder,
            sink(folder) as target,
            our_node(Match(folder=folder, forward_to=target)) as node,
        ):
            timed([warm], node.port, nagle=False)
            target.last_arrival(len(warm), seconds=60)
            until(lambda: node.waiting() == 0, "the warm-up to be settled", seconds=60)
            target.hold()
            timed([files], node.port, nagle=False)
            until(lambda: node.waiting() == len(files), "the queue to be whole", seconds=120)
            if arena.prepares:
                node.get_ready()
            return _release(target, len(files), len(warm))

    def _bare_turn(self, arena: Arena, send: Peer) -> float:
        """A program that sends files and ends."""
        files, warm = self._files(arena), arena.data.warm(self.data)
        with arena.fresh_folder() as folder, sink(folder) as target:
            with send(warm, target.port) as sender:
                finished(sender)
            target.last_arrival(len(warm), seconds=60)
            target.hold()
            with send(files, target.port) as sender:
                rate = _release(target, len(files), len(warm))
                finished(sender)
            return rate

    def _files(self, arena: Arena) -> tuple[Path, ...]:
        return arena.data.files(self.data, batch="sender-0", share=self.share)


def _release(target: Sink, count: int, already: int) -> float:
    """Instances in a second, from now until all are there."""
    until(target.is_called, "the sender to call the sink", seconds=60)
    settle_disks()
    time.sleep(0.3)  # what a sender does before the answer to its call, it has done now
    since = target.let_go()
    return count / (target.last_arrival(count + already, seconds=SEND_SECONDS) - since)
