"""HAProxy's master process: which workers there are, a reload, and a way to each of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from haproxy.errors import SocketError
from haproxy.sockets.runtime import Runtime
from haproxy.sockets.tables import Processes, read_processes
from haproxy.sockets.wire import SECONDS, ask


class Master:
    """The master's own command line on its socket (`haproxy -W -S`). It goes on listening when a worker is gone."""

    def __init__(self, path: Path, *, seconds: float = SECONDS) -> None:
        self._path = path
        self._seconds = seconds

    @property
    def path(self) -> Path:
        """Where its socket is."""
        return self._path

    def processes(self) -> Processes:
        """The master and its workers."""
        return read_processes(self._say("show proc"))

    def reload(self) -> None:
        """Let the master read its file again. Returns at once; `processes` tells how it went.

        The master starts itself anew meanwhile: that it hangs up is its answer.
        """
        with contextlib.suppress(SocketError):
            self._say("reload")

    def worker(self, pid: int) -> Runtime:
        """The runtime API of one worker, also of an old one."""
        return Runtime(lambda command: self._say(f"@!{pid:d} {command}"))

    def _say(self, command: str) -> str:
        # The master keeps the connection open after an answer: it is asked to end it.
        return ask(self._path, f"{command};quit", seconds=self._seconds)
