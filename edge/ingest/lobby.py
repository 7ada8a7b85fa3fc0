"""The lobby: one thread for all connections that are no associations yet. Silence here costs a descriptor, no thread.

Several processes wait at the same listening socket; EPOLLEXCLUSIVE wakes one of them for a new connection.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edge.ingest.admission import Network, inside
from edge.ingest.visitors import Caller, Unwelcome, Visitor

log = structlog.get_logger(__name__)
CHUNK = 1 << 16
LEAVING_SECONDS = 1.0
"""How long a refused peer may take to close: closing first could destroy the refusal on its way (PS3.8 ARTIM)."""
PAUSE_SECONDS = 0.5
"""After the system has no descriptor left for another connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LobbyRules:
    """How long and how many connections may wait."""

    artim_seconds: float
    most: int
    proxy_from: tuple[Network, ...]
    """Balancers whose connections begin with a PROXY header."""


class Lobby:
    """Accepts connections and hands on those that have sent a whole association request."""

    def __init__(
        self,
        listener: socket.socket,
        rules: LobbyRules,
        *,
        welcome: Callable[[Visitor, Caller], None],
        ended: Callable[[str, str], None],
    ) -> None:
        """`welcome` gets the socket for good, or raises Unwelcome; `ended` hears outcome and address of all others."""
        self._listener, self._rules, self._welcome, self._ended = listener, rules, welcome, ended
        self._visitors: dict[int, Visitor] = {}
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)
        self._stopping = False
        self._resume_at = 0.0
        self._thread = threading.Thread(target=self._run, name="lobby", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._epoll.register(self._bell, select.EPOLLIN)
        self._listen()
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more; those who wait are cut off."""
        self._stopping = True
        os.eventfd_write(self._bell, 1)
        self._thread.join(2.0)

    def alive(self) -> bool:
        """Whether the thread works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._round()
            except Exception:
                log.exception("lobby.failed")  # one visitor must not close the door for all
                time.sleep(PAUSE_SECONDS)
        for visitor in list(self._visitors.values()):
            self._forget(visitor)
            visitor.sock.close()
        self._epoll.close()
        os.close(self._bell)

    def _round(self) -> None:
        for descriptor, _events in self._epoll.poll(self._patience()):
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor in self._visitors:
                self._hear(self._visitors[descriptor])
        self._end_overdue(time.monotonic())

    def _patience(self) -> float:
        now = time.monotonic()
        waiting = [one.deadline for one in self._visitors.values()]
        if self._resume_at:
            waiting.append(self._resume_at)
        return max(0.0, min(waiting) - now) + 0.01 if waiting else -1

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another process was quicker, or the peer has gone again
        except OSError as error:
            log.error("lobby.cannot_accept", error=error.strerror, hint="Look at the limit of open files (ulimit -n).")
            self._epoll.unregister(self._listener)
            self._resume_at = time.monotonic() + PAUSE_SECONDS
            return
        if len(self._visitors) >= self._rules.most:
            self._make_room()
        sock.setblocking(False)
        host = str(address[0]).removeprefix("::ffff:")
        visitor = Visitor(
            sock,
            host,
            proxied=inside(host, self._rules.proxy_from),
            deadline=time.monotonic() + self._rules.artim_seconds,
        )
        self._visitors[sock.fileno()] = visitor
        self._epoll.register(sock, select.EPOLLIN)

    def _hear(self, visitor: Visitor) -> None:
        try:
            data = visitor.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(visitor, "" if visitor.leaving else "never-established")
            return
        if visitor.leaving:
            return
        try:
            caller = visitor.add(data)
            if caller is not None:
                self._forget(visitor)
                self._welcome(visitor, caller)
        except Unwelcome as refusal:
            self._refuse(visitor, refusal)
        except Exception:
            log.exception("lobby.failed")
            self._refuse(visitor, Unwelcome("failed"))

    def _refuse(self, visitor: Visitor, refusal: Unwelcome) -> None:
        self._ended(refusal.outcome, visitor.address)
        with contextlib.suppress(OSError):
            visitor.sock.send(refusal.last_word)
            visitor.sock.shutdown(socket.SHUT_WR)
        visitor.leaving = True
        visitor.deadline = time.monotonic() + LEAVING_SECONDS
        if visitor.sock.fileno() not in self._visitors:
            self._visitors[visitor.sock.fileno()] = visitor
            self._epoll.register(visitor.sock, select.EPOLLIN)

    def _end_overdue(self, now: float) -> None:
        if self._resume_at and now >= self._resume_at:
            self._resume_at = 0.0
            self._listen()
        overdue = [one for one in self._visitors.values() if one.deadline <= now]
        for visitor in overdue:
            self._end(visitor, "" if visitor.leaving else "never-established")

    def _make_room(self) -> None:
        """Whoever has waited longest goes: a port scan must not shut the door on modalities."""
        oldest = next(iter(self._visitors.values()))
        self._end(oldest, "" if oldest.leaving else "turned-away")

    def _end(self, visitor: Visitor, outcome: str) -> None:
        self._forget(visitor)
        visitor.sock.close()
        if outcome:
            self._ended(outcome, visitor.address)

    def _forget(self, visitor: Visitor) -> None:
        descriptor = visitor.sock.fileno()
        if self._visitors.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _listen(self) -> None:
        self._epoll.register(self._listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
