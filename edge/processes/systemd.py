"""What systemd is told of a node: a datagram to $NOTIFY_SOCKET (sd_notify(3)). Without it, nothing is said."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Systemd:
    """Ready, what it does, and that it still makes progress."""

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        pid, microseconds = os.environ.pop("WATCHDOG_PID", ""), os.environ.pop("WATCHDOG_USEC", "")
        ours = microseconds.isdigit() and pid in ("", str(os.getpid()))
        self._watchdog_seconds = int(microseconds) / 1e6 / 3 if ours else 0.0
        self._petted = 0.0

    def tell(self, **facts: str | int) -> None:
        """For example READY=1, STATUS='…'."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(f"{key}={value}" for key, value in facts.items()).encode(), self._address)

    def pet_watchdog(self) -> None:
        """Call often, and only while all goes well."""
        now = time.monotonic()
        if self._watchdog_seconds and now - self._petted >= self._watchdog_seconds:
            self._petted = now
            self.tell(WATCHDOG=1)
