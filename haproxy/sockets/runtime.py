"""One worker of HAProxy: what its pools are like, and the few words that change them at once."""

from __future__ import annotations

import re
from typing import Literal

from haproxy.errors import CommandRefused
from haproxy.sockets.tables import StateRow, StatRow, read_info, read_servers_state, read_stat
from haproxy.sockets.wire import Ask

AdminState = Literal["ready", "drain", "maint"]
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
STOPPED = "Proxy is disabled."
"""What an old worker answers for a proxy that accepts nothing any more: there is nothing left to direct."""


class Runtime:
    """The runtime API of one worker. Every call is bounded, and raises SocketError when it was not answered well."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def stat(self) -> tuple[StatRow, ...]:
        """Frontends, backends and servers as they are now."""
        return read_stat(self._ask("show stat"))

    def servers_state(self) -> tuple[str, tuple[StateRow, ...]]:
        """What HAProxy can be given back after a reload: the heading and the lines."""
        return read_servers_state(self._ask("show servers state"))

    def info(self) -> dict[str, str]:
        """Facts of the process."""
        return read_info(self._ask("show info"))

    def sessions(self) -> dict[tuple[str, str], int]:
        """Open sessions of each server, by proxy and name; servers without one are in it, too."""
        return {(row.proxy, row.name): row.sessions for row in self.stat() if row.name not in ("FRONTEND", "BACKEND")}

    def set_state(self, proxy: str, server: str, state: AdminState) -> None:
        """Let a server take new associations, or none, or none and no checks."""
        self._command(f"set server {_named(proxy)}/{_named(server)} state {state}")

    def ask_agent(self, proxy: str, server: str, on: bool) -> None:
        """Let the node's agent be asked, or not: while it is, its `ready` ends a person's drain."""
        self._command(f"{'enable' if on else 'disable'} agent {_named(proxy)}/{_named(server)}")

    def set_weight(self, proxy: str, server: str, weight: int) -> None:
        """Give a server another share."""
        self._command(f"set server {_named(proxy)}/{_named(server)} weight {weight:d}")

    def set_server_limit(self, proxy: str, server: str, most: int) -> None:
        """Let at most so many sessions reach a server; 0 for no limit."""
        self._command(f"set maxconn server {_named(proxy)}/{_named(server)} {most:d}")

    def set_frontend_limit(self, proxy: str, most: int) -> None:
        """Accept at most so many sessions."""
        self._command(f"set maxconn frontend {_named(proxy)} {most:d}")

    def _command(self, command: str) -> None:
        answer = self._ask(command).strip()
        # A drain warns where health checks are off; what it warns of is meant so.
        if answer and not answer.startswith(("Warning", "Note")):
            raise CommandRefused(answer.split("\n", 1)[0][:200])


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CommandRefused(f"{name!r} is no name that HAProxy knows")
    return name
