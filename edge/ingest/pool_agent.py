"""Answers HAProxy's agent check: a line for whoever connects, then the end. A thread in each process that receives."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Sequence

import structlog

from edge.ingest.admission import Network, inside, networks
from edge.ingest.willingness import Facts, answer, is_deep, reason_to_stand_aside

log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.5
LOOPBACK = networks(("127.0.0.0/8", "::1/128"))


class PoolAgent:
    """Tells balancers, and nobody else, whether this node wants associations.

    The listening socket is shared by all processes that receive: while one stands still, another answers.
    """

    def __init__(self, listener: socket.socket, facts: Callable[[], Facts], allowed: Sequence[Network]) -> None:
        self._listener, self._facts = listener, facts
        self._allowed = (*LOOPBACK, *allowed)
        self._deep, self._said = False, ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pool-agent", daemon=True)

    def start(self) -> None:
        """Answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; the balancer's own checks find the door closed."""
        self._stopping.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if select.select([self._listener], [], [], LOOK_SECONDS)[0]:
                    self._serve()
            except Exception:
                log.exception("agent.failed")  # the next one may be answered
                self._stopping.wait(LOOK_SECONDS)

    def _serve(self) -> None:
        try:
            connection, address = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another process was quicker, or the caller has gone again
        with connection, contextlib.suppress(OSError):
            if not inside(str(address[0]), self._allowed):
                return
            connection.settimeout(LOOK_SECONDS)
            connection.sendall(self._answer().encode("ascii"))

    def _answer(self) -> str:
        facts = self._facts()
        self._deep = is_deep(facts, was_deep=self._deep)
        reason = reason_to_stand_aside(facts, was_deep=self._deep)
        if reason != self._said:
            self._said = reason
            log.warning(
                "agent.stands_aside" if reason else "agent.wants_work", **({"reason": reason} if reason else {})
            )
        return answer(facts, was_deep=self._deep)
