"""The few words that make a running HAProxy as wanted without a reload, and saying them to all of its workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from haproxy.errors import CommandRefused, SocketError
from haproxy.manager.observing import Reading, said_state
from haproxy.manager.state_file import WantedServer
from haproxy.sockets.runtime import Runtime
from mesh.pools import State

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState:
    """People, or hours, want another state."""

    proxy: str
    server: str
    state: State

    def say(self, worker: Runtime) -> None:
        """To one worker."""
        worker.set_state(self.proxy, self.server, self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWeight:
    """Another share is wanted."""

    proxy: str
    server: str
    weight: int

    def say(self, worker: Runtime) -> None:
        """To one worker."""
        worker.set_weight(self.proxy, self.server, self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgent:
    """The node's own word counts again, or no longer."""

    proxy: str
    server: str
    on: bool

    def say(self, worker: Runtime) -> None:
        """To one worker."""
        worker.ask_agent(self.proxy, self.server, self.on)


Deed = SetState | SetWeight | AskAgent


def needed(wanted: Iterable[WantedServer], reading: Reading) -> tuple[Deed, ...]:
    """What to say so that every server that is there is as wanted, in the order in which it is to be said."""
    rows = {(row.proxy, row.server): row for row in reading.state}
    deeds: list[Deed] = []
    for one in wanted:
        row = rows.get((one.proxy, one.server))
        if row is None:
            continue  # only a reload brings it
        asked = row.asks_agent
        if one.state != "ready" and asked:
            deeds.append(AskAgent(proxy=one.proxy, server=one.server, on=False))
        # An agent's drain looks like a person's; said anew, it is a person's from now on.
        if said_state(row) != one.state:
            deeds.append(SetState(proxy=one.proxy, server=one.server, state=one.state))
        if one.state == "ready" and row.has_agent and not asked:
            deeds.append(AskAgent(proxy=one.proxy, server=one.server, on=True))
        elif not asked and row.weight != one.weight:  # where it is asked, the agent gives a part of the share
            deeds.append(SetWeight(proxy=one.proxy, server=one.server, weight=one.weight))
    return tuple(deeds)


def do(deeds: Iterable[Deed], workers: Sequence[Runtime]) -> str:
    """Say them to the worker that accepts, and to the old ones; returns what the first one refused, in its words.

    An old worker whose listeners are gone refuses every word ("Proxy is disabled."): it brings nothing new anywhere.
    """
    refused = ""
    for deed in deeds:
        log.info("haproxy.deed", deed=type(deed).__name__, **{name: getattr(deed, name) for name in deed.__slots__})
        try:
            deed.say(workers[0])
        except CommandRefused as error:
            log.error("haproxy.refused", words=str(error))
            refused = refused or str(error)
        for old in workers[1:]:
            with contextlib.suppress(SocketError):
                deed.say(old)
    return refused
