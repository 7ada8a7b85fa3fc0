"""Rows through HAProxy: the same senders and files, to nodes behind a pool and to one node directly, in turns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from provisioning.local.pool_manager import PoolManager
from provisioning.local.ports import LOOPBACK, free_port
from tests.bench.arena import Arena
from tests.bench.receive import Receive
from tests.bench.receivers import OURS, Contestant, Match, Receiver, our_node
from tests.bench.results import Bound, Line
from tests.bench.waiting import until
from tests.haproxy_pool import short_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One row: how many nodes stand behind HAProxy, beside one that is sent to directly."""

    data: str
    nodes: int = 1
    direct: int = 1
    """Nodes without HAProxy that it is compared with; senders go to them in turns."""
    senders: int = 1
    share: float = 1.0
    bound: Bound | None = None

    @property
    def name(self) -> str:
        """As `--rows` takes it."""
        return (
            f"pool{'' if self.nodes == 1 else self.nodes}.{self.data}.direct{'' if self.direct == 1 else self.direct}"
        )

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """Programs, and the packages that bring them."""
        return (("dcmsend", "dcmtk"), ("haproxy", "haproxy"))

    def measure(self, arena: Arena) -> Iterator[Line]:
        """The pairs of this row."""
        direct = Contestant(name="direct", durable=OURS.durable, start=self._direct)
        row = Receive(data=self.data, peer=direct, senders=self.senders, share=self.share, bound=self.bound)
        behind = Contestant(name=f"pool of {self.nodes}", durable=OURS.durable, start=self._pool)
        for line in row.measure(arena, ours=behind):
            yield replace(line, name=self.name)

    @contextmanager
    def _direct(self, match: Match) -> Iterator[Receiver]:
        with ExitStack() as started:
            first, *others = self._nodes(match, self.direct, started)
            yield replace(
                first,
                more_ports=tuple(one.port for one in others),
                held=lambda: sum(one.held() for one in (first, *others)),
                get_ready=lambda: _get_ready((first, *others)),
            )

    def _nodes(self, match: Match, count: int, started: ExitStack, *, behind: bool = False) -> list[Receiver]:
        return [
            started.enter_context(our_node(replace(match, folder=match.folder / str(n)), behind=behind))
            for n in range(count)
        ]

    @contextmanager
    def _pool(self, match: Match) -> Iterator[Receiver]:
        with ExitStack() as started:
            folder = started.enter_context(short_folder())
            behind = self._nodes(match, self.nodes, started, behind=True)
            port = free_port()
            (folder / "pool.yaml").write_text(json.dumps(_document(port, [one.port for one in behind])))
            manager = PoolManager(folder / "m", pool=folder / "pool.yaml", log_dir=match.folder / "log")
            started.enter_context(manager)
            until(
                lambda: [one["check"] for one in manager.facts()["members"]] == ["L7OK"] * self.nodes,
                "all nodes to pass a check",
                seconds=30,
            )
            yield Receiver(
                port=port,
                pid=manager.pid,
                held=lambda: sum(one.held() for one in behind),
                get_ready=lambda: _get_ready(behind),
            )


def _get_ready(nodes: Sequence[Receiver]) -> None:
    for one in nodes:
        one.get_ready()


def _document(port: int, nodes: list[int]) -> dict[str, object]:
    members = [
        {"node": f"box-{number}", "addresses": {"dicom": f"{LOOPBACK}:{at}"}} for number, at in enumerate(nodes, 1)
    ]
    listener = {"name": "dicom", "kind": "dicom", "bind": f"{LOOPBACK}:{port}"}
    pool = {"name": "images", "slow_start_seconds": 0, "listeners": [listener], "members": members}
    return {"skerry_pools": 1, "pools": [pool]}
