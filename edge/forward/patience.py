"""Waiting for a peer that is slow, and leaving one that hangs. Patience counts from the last byte that moved.

Private names of pynetdicom 3.0.4 that are used here: `Association._kill`, `_reactor_checkpoint`. Its own `abort()`
waits for a thread that may be blocked in `send`, for ever; nothing here waits for that thread longer than a moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import queue
import socket
import struct
import termios
import threading
import time
from typing import Any

LOOK_SECONDS = 0.1
POLITE_SECONDS = 0.5
"""How long an A-ABORT (PS3.8 section 9.3.8) may take before the connection is cut."""


def wait_for_answer(association: Any, *, idle_seconds: float, interrupted: threading.Event) -> Any | None:
    """The peer's answer; None when the association is lost, or when no byte has moved for `idle_seconds`."""
    seen, still_since = _outstanding(association), time.monotonic()
    while not interrupted.is_set():
        ended = not association.dul.is_alive()
        try:
            _context, answer = association.dimse.msg_queue.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            outstanding, now = _outstanding(association), time.monotonic()
            if outstanding != seen:
                seen, still_since = outstanding, now
            if ended or now - still_since > idle_seconds:
                return None
        else:
            return answer
    return None


def hang_up(association: Any) -> None:
    """End the association, whatever its threads are doing; returns within two seconds."""
    provider = association.dul
    raw = raw_socket(association)
    association.is_established = False
    if provider.to_provider_queue.empty():
        association.abort(block=False)
        provider.join(POLITE_SECONDS)
    provider.kill_dul()
    if raw is not None:
        with contextlib.suppress(OSError):
            # What still waits in the kernel for a peer that does not read goes too.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cut(raw)
    provider.join(1.0)
    if raw is not None:
        raw.close()
    association._kill = True
    association._reactor_checkpoint.set()


def cut(raw: socket.socket) -> None:
    """Wake whoever is blocked on this connection, in any thread."""
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


def raw_socket(association: Any) -> socket.socket | None:
    """The connection itself, while there is one."""
    raw: socket.socket | None = getattr(association.dul.socket, "socket", None)
    return raw


def _outstanding(association: Any) -> tuple[int, int]:
    """What changes while bytes move: PDUs that wait to be sent, and bytes that the peer has not confirmed."""
    return association.dul.to_provider_queue.qsize(), _unconfirmed(raw_socket(association))


def _unconfirmed(raw: socket.socket | None) -> int:
    try:
        return 0 if raw is None else int(struct.unpack("i", fcntl.ioctl(raw, termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):
        return 0  # closed at this moment
