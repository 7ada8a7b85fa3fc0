"""Rows about cost: what silent associations take, and what a hundred thousand callers leave behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from provisioning.local.ports import LOOPBACK
from tests.bench.arena import Arena
from tests.bench.footprint import Footprint, footprint
from tests.bench.receivers import Match, Receiver, our_node
from tests.bench.results import Bound, Line
from tests.bench.wire import associate, bare_connect, echo

_CALLERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Associations that are open and say nothing."""

    associations: int = 500
    name: str = "idle"
    needs: tuple[tuple[str, str], ...] = ()

    def measure(self, arena: Arena) -> Iterator[Line]:
        """CPU while they are silent, and memory for each."""
        count = arena.scaled(self.associations, least=20)
        with arena.fresh_folder() as folder, our_node(Match(folder=folder)) as node, contextlib.ExitStack() as held:
            address = (LOOPBACK, node.port)
            for number in range(20):
                echo(address, source=_source(number))
            time.sleep(arena.rest_seconds)
            alone = _cpu_percent(node, arena.watch_seconds)
            before = footprint(node.pid)
            for number in range(count):
                held.enter_context(associate(address, source=_source(number)))
            arena.say(f"  {count} associations are open")
            time.sleep(arena.rest_seconds)
            busy = _cpu_percent(node, arena.watch_seconds)
            after = footprint(node.pid)
        details = {"associations": count, "cpu_percent_without": alone, **_both(before, after)}
        each = (after.resident - before.resident) / count / 1024
        small = Bound(sense="<", value=64, unit="KB each")
        yield Line(name="idle.cpu", unit="% of a core", ours=(busy,), bound=Bound(sense="<", value=2, unit="%"))
        yield Line(name="idle.memory", unit="KB each", ours=(each,), bound=small, details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connects:
    """Callers that come and go: bare connections as load balancers make them, and associations with a C-ECHO."""

    connections: int = 100_000
    echoes: int = 10_000
    name: str = "connects"
    needs: tuple[tuple[str, str], ...] = ()

    def measure(self, arena: Arena) -> Iterator[Line]:
        """How much memory and threads have grown afterwards."""
        connections, echoes = arena.scaled(self.connections, least=100), arena.scaled(self.echoes, least=20)
        with arena.fresh_folder() as folder, our_node(Match(folder=folder)) as node:
            address = (LOOPBACK, node.port)
            _crowd(address, connections=max(50, connections // 20), echoes=max(20, echoes // 5))
            time.sleep(arena.rest_seconds)
            before = footprint(node.pid)
            started = time.perf_counter()
            _crowd(address, connections=connections, echoes=echoes)
            seconds = time.perf_counter() - started
            time.sleep(arena.rest_seconds)
            after = footprint(node.pid)
        details = {"connections": connections, "echoes": echoes, "seconds": seconds, **_both(before, after)}
        for what, now, then in (
            ("memory", after.resident, before.resident),
            ("threads", after.threads, before.threads),
        ):
            grown = (now - then) / then * 100
            little = Bound(sense="<", value=1, unit="%")
            yield Line(name=f"connects.{what}", unit="% growth", ours=(grown,), bound=little, details=details)


def _crowd(address: tuple[str, int], *, connections: int, echoes: int) -> None:
    """All of them, from several threads at once.

    Raises:
        WireError, OSError: one was not served.
    """
    _spread(lambda number: bare_connect(address, source=_source(number), reset=number % 2 == 0), connections)
    _spread(lambda number: echo(address, source=_source(number)), echoes)


def _spread(call: Callable[[int], None], count: int) -> None:
    def share(first: int) -> None:
        for number in range(first, count, _CALLERS):
            call(number)

    with ThreadPoolExecutor(_CALLERS) as callers:
        list(callers.map(share, range(_CALLERS)))


def _source(number: int) -> str:
    """One of 250 loopback addresses, so that the ports of closed connections never run out."""
    return f"127.0.0.{2 + number % 250}"


def _cpu_percent(node: Receiver, seconds: float) -> float:
    began, before = time.perf_counter(), footprint(node.pid).cpu_seconds
    time.sleep(seconds)
    return (footprint(node.pid).cpu_seconds - before) / (time.perf_counter() - began) * 100


def _both(before: Footprint, after: Footprint) -> dict[str, object]:
    return {"before": asdict(before), "after": asdict(after)}
