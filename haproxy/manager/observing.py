"""What HAProxy is like now, over all of its workers: one reading, from which everything else is decided."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from haproxy.errors import SocketError, SocketGone
from haproxy.manager.interface import MemberReport
from haproxy.sockets.master import Master
from haproxy.sockets.runtime import Runtime
from haproxy.sockets.tables import Processes, StateRow, StatRow
from mesh.pools import State

_DRAIN, _MAINT = 0x08 | 0x10, 0x01 | 0x02 | 0x04 | 0x20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """HAProxy at one moment."""

    processes: Processes
    stat: tuple[StatRow, ...]
    """Of the worker that accepts."""
    heading: str
    state: tuple[StateRow, ...]
    sessions: Mapping[tuple[str, str], int]
    """By proxy and server, over all workers, old ones too."""
    at: float
    """Seconds since 1970."""


def read(master: Master) -> Reading:
    """Ask the worker that accepts for everything, and the old ones for what is open in them.

    Raises:
        SocketError: the accepting worker did not answer well. An old one that ends meanwhile has nothing open.
    """
    processes = master.processes()
    if processes.worker is None:
        raise SocketGone("HAProxy has no worker that accepts")
    worker = master.worker(processes.worker)
    stat = worker.stat()
    heading, state = worker.servers_state()
    sessions = Counter({(row.proxy, row.name): row.sessions for row in stat if row.name not in ("FRONTEND", "BACKEND")})
    for pid in processes.old_workers:
        with contextlib.suppress(SocketError):
            sessions.update(master.worker(pid).sessions())
    return Reading(processes=processes, stat=stat, heading=heading, state=state, sessions=sessions, at=time.time())


def said_state(row: StateRow) -> State:
    """What a person made of it. While a node's agent is asked, the mark is the agent's, and says nothing of people."""
    if row.asks_agent:
        return "ready"
    return "maint" if row.admin & _MAINT else "drain" if row.admin & _DRAIN else "ready"


def works(stat: StatRow, state: StateRow) -> bool:
    """Whether it takes new associations, when no person keeps it out."""
    if state.asks_agent and state.admin & (_DRAIN | _MAINT):
        return False
    if said_state(state) == "maint":
        return False
    return state.operational in (1, 2) and (stat.effective_weight > 0 or said_state(state) == "drain")


def members(reading: Reading) -> tuple[MemberReport, ...]:
    """Every server of every pool, as people are told of it."""
    rows = {(row.proxy, row.server): row for row in reading.state}
    found = []
    for stat in reading.stat:
        state = rows.get((stat.proxy, stat.name))
        pool, _, listener = stat.proxy.partition(".")
        if state is None or not listener:
            continue
        found.append(
            MemberReport(
                pool=pool,
                listener=listener,
                node=stat.name,
                admin=said_state(state),
                up=works(stat, state),
                status=stat.status,
                sessions=reading.sessions.get((stat.proxy, stat.name), 0),
                weight=stat.weight,
                check=stat.check_status,
                check_words=stat.check_words,
                agent=stat.agent_words,
                changed=int(reading.at) - stat.last_change_seconds,
            )
        )
    return tuple(found)


def each_worker(master: Master, processes: Processes) -> list[Runtime]:
    """The accepting worker first, then the old ones."""
    pids = [processes.worker] if processes.worker is not None else []
    return [master.worker(pid) for pid in (*pids, *processes.old_workers)]
