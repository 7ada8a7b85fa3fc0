"""What both sides of an association ask of the kernel about a socket (socket(7), tcp(7))."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios

_COUNT = struct.Struct("i")
_RESET = struct.pack("ii", 1, 0)


def timeval(seconds: float) -> bytes:
    """A time-out as SO_RCVTIMEO and SO_SNDTIMEO take it; never zero, which is none."""
    whole = int(seconds)
    return struct.pack("ll", whole, max(int((seconds - whole) * 1_000_000), 1 if not whole else 0))


def unsent(sock: socket.socket) -> int:
    """Bytes that wait in the kernel because the peer has not confirmed them; 0 when the socket is closed."""
    try:
        return int(_COUNT.unpack(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(_COUNT.size)))[0])
    except (OSError, ValueError):
        return 0


def reset_on_close(sock: socket.socket) -> None:
    """Let closing throw away what the peer does not read; the kernel would keep it for minutes otherwise."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
