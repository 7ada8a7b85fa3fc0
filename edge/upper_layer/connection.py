"""One peer's connection: bytes in and out, blocking in the kernel, with a limit on every kind of silence.

Time-outs are the kernel's (SO_RCVTIMEO, SO_SNDTIMEO), so each read is one system call and a silent peer costs none.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

from edge.upper_layer.ends import Idle, NotReading, PeerGone, Silent, Stalled
from edge.upper_layer.sockets import reset_on_close, timeval, unsent
from edge.upper_layer.windows import Windows

TICK_SECONDS = 2.0
"""How long an association may be silent before it gives its window back."""
TRICKLE_BYTES = 1024
TRICKLE_RATE = 64
"""Bytes a second. The slowest modem is faster; a peer that sends a byte at a time to hold us is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how many seconds each silence is borne."""

    idle: float
    """Between two messages: examinations pause."""
    dimse: float
    """Between two PDUs of one message."""
    pdu: float
    """Inside a PDU, and for an answer to be taken."""


class Connection:
    """Reads into a lent window. Used by one thread, but for `cut`."""

    def __init__(self, sock: socket.socket, patience: Patience, windows: Windows, first: bytes = b"") -> None:
        self._sock, self._patience, self._windows = sock, patience, windows
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(patience.pdu))
        self._quickack = sock.family in (socket.AF_INET, socket.AF_INET6)
        if self._quickack:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tick = min(TICK_SECONDS, patience.pdu, patience.dimse, patience.idle)
        self._wait_at_most(self._tick)
        self._window: memoryview | None = None
        self._since = 0.0
        self._trickled = 0
        self.view = memoryview(b"")
        self.start = self.end = 0
        self._take_window()
        self.view[: len(first)] = first
        self.end = len(first)

    def message_begins(self) -> None:
        """Wait for the first byte of the next message; nobody looks any more at what the window held before.

        Raises:
            Idle: none came. PeerGone: none will come.
        """
        self._since = 0.0
        left = self.end - self.start
        if left:
            if self.start > len(self.view) // 2:
                self.view[:left] = bytes(self.view[self.start : self.end])
                self.start, self.end = 0, left
            return
        self.start = self.end = 0
        if not self._receive(self.view):
            self._wait_without_window()

    def fill(self, *, between: bool = False) -> None:
        """Append what has come, at least one byte; the window must have room.

        `between` says that the peer is between two PDUs of a message, where another silence is borne.

        Raises:
            Silent, Stalled: nothing came, or next to nothing. PeerGone: nothing will come.
        """
        while not self._receive(self.view[self.end :]):
            limit = self._patience.dimse if between else self._patience.pdu
            now = time.monotonic()
            if not self._since:
                self._since, self._trickled = now - self._tick, 0
            if now - self._since >= limit:
                raise Stalled if between else Silent

    def send(self, data: bytes) -> None:
        """Send all of this.

        Raises:
            NotReading: the peer takes nothing. PeerGone: the connection is lost.
        """
        try:
            self._sock.sendall(data)
        except BlockingIOError:
            self._leave_nothing()
            raise NotReading from None
        except OSError:
            raise PeerGone from None

    def abort(self, last_word: bytes) -> None:
        """Wake the thread that is blocked here, with a word for the peer; may be called from any thread."""
        with contextlib.suppress(OSError):
            self._sock.send(last_word, socket.MSG_DONTWAIT)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self, last_word: bytes = b"") -> None:
        """End the connection; a last word is sent if that costs no wait, and the peer may take it."""
        with contextlib.suppress(OSError):
            if last_word:
                self._sock.send(last_word, socket.MSG_DONTWAIT)
                self._sock.shutdown(socket.SHUT_WR)
                self._drain()
        if last_word:
            self._leave_nothing()
        self._sock.close()
        self._give_window()

    def _receive(self, room: memoryview) -> int:
        """Bytes that came; 0 when none came within a tick."""
        try:
            count = self._sock.recv_into(room)
        except BlockingIOError:
            return 0
        except OSError:
            raise PeerGone from None
        if not count:
            raise PeerGone
        if self._quickack:
            # A delayed acknowledgement costs a sender that leaves Nagle's algorithm on some 40 ms for each object.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.end += count
        if count >= TRICKLE_BYTES:
            self._since = 0.0
        elif self._since or count < TRICKLE_RATE:
            self._trickle(count)
        return count

    def _trickle(self, count: int) -> None:
        now = time.monotonic()
        if not self._since:
            self._since, self._trickled = now, 0
        self._trickled += count
        spent = now - self._since
        if spent >= self._patience.pdu:
            if self._trickled < spent * TRICKLE_RATE:
                raise Silent
            self._since, self._trickled = now, 0

    def _wait_without_window(self) -> None:
        self._give_window()
        idle = self._patience.idle - self._tick
        try:
            self._wait_at_most(max(idle, 0.001))
            if not self._sock.recv(1, socket.MSG_PEEK):
                raise PeerGone
            self._wait_at_most(self._tick)
        except BlockingIOError:
            raise Idle from None
        except OSError:
            raise PeerGone from None
        self._take_window()
        self.fill()

    def _take_window(self) -> None:
        self._window = self.view = self._windows.lend()

    def _give_window(self) -> None:
        if self._window is not None:
            self._windows.give_back(self._window)
            self._window = None
            self.view = memoryview(b"")

    def _wait_at_most(self, seconds: float) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(seconds))

    def _leave_nothing(self) -> None:
        """Let the close be a reset when the peer has not taken all: the kernel would keep the rest for minutes."""
        if unsent(self._sock):
            reset_on_close(self._sock)

    def _drain(self) -> None:
        """What the peer still sends is thrown away for a moment: closing on it would destroy our last word."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(0.2))
        until = time.monotonic() + 0.5
        scrap = bytearray(1 << 16)
        while self._sock.recv_into(scrap) and time.monotonic() < until:
            pass
