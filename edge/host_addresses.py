"""Host names as addresses: looked up beside the work, so that a name server that hesitates holds up nobody."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable

LOOK_AGAIN_SECONDS = 60.0
ANSWER_SECONDS = 2.0
"""How long somebody who asks once waits for a name server."""
Resolve = Callable[[str], tuple[str, ...]]


class HostAddresses:
    """The addresses of some names as they were last seen; a name without an answer has none, or those it had before."""

    def __init__(self, resolve: Resolve | None = None, *, again_seconds: float = LOOK_AGAIN_SECONDS) -> None:
        self._resolve, self._again_seconds = resolve or resolved, again_seconds
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._known: dict[str, tuple[str, ...]] = {}
        self._look, self._stopping = threading.Event(), False
        self._thread: threading.Thread | None = None
        self.version = 0
        """Another one after each change."""

    def follow(self, hosts: Iterable[str]) -> None:
        """Look these up from now on, and no others; returns at once."""
        with self._lock:
            self._names = frozenset(host for host in hosts if host and not is_address(host))
            if not self._names or self._stopping:
                return
            self._look.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="host-names", daemon=True)
                self._thread.start()

    def of(self, host: str) -> tuple[str, ...]:
        """The addresses that the name had last; an address has itself."""
        return (host,) if is_address(host) else self._known.get(host, ())

    def stop(self) -> None:
        """Look up nothing more; a question that is under way is left to the system."""
        with self._lock:
            self._stopping = True
            self._look.set()

    def _run(self) -> None:
        while not self._stopping:
            self._look.clear()
            for name in sorted(self._names):
                found = self._resolve(name)
                if found and found != self._known.get(name):
                    self._known = {**self._known, name: found}
                    self.version += 1
            self._look.wait(self._again_seconds)


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def resolved(host: str) -> tuple[str, ...]:
    """The addresses that the system gives for a name now; none is no error, it may come later."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(sorted({str(address[0]) for *_kind, address in found}))


def resolved_within(host: str, seconds: float = ANSWER_SECONDS, *, resolve: Resolve = resolved) -> tuple[str, ...]:
    """As `resolved`, and nothing when there is no answer in time."""
    answer: list[tuple[str, ...]] = []
    asking = threading.Thread(target=lambda: answer.append(resolve(host)), daemon=True)
    asking.start()
    asking.join(seconds)
    return answer[0] if answer else ()
