"""The connection to a peer that we called: many pieces in one write, whole PDUs back, and a limit on every stillness.

Time-outs are the kernel's (SO_RCVTIMEO, SO_SNDTIMEO), so a read or a write is one system call. Patience counts from
the last byte that moved in either direction: also bytes that still wait in the kernel move while the peer takes them.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Protocol

from edge.forward.ends import Garbage, Lost, PeerAborted, Still
from edge.upper_layer import pdu
from edge.upper_layer.sockets import reset_on_close, timeval, unsent

TICK_SECONDS = 1.0
"""How often a wait looks whether bytes still move."""
LONGEST_P_DATA = 1 << 14
"""What we announce: a peer sends us nothing but short answers."""
LONGEST_OTHER = 1 << 18
"""Of an A-ASSOCIATE-AC, which names up to 128 contexts."""
_WINDOW = (1 << 14) + 6
_NOW = socket.MSG_DONTWAIT
Pieces = Sequence[bytes | bytearray | memoryview]


class Wire(Protocol):
    """What bytes go through: the socket itself, or TLS over it (`tls_wire.py`)."""

    def sendmsg(self, pieces: Pieces, /) -> int:
        """Send the first of these pieces, and tell how many bytes that was."""

    def recv_into(self, room: memoryview, count: int, flags: int, /) -> int:
        """Read what has come; 0 when the peer has ended it."""

    def recv(self, size: int, flags: int, /) -> bytes:
        """Look at what has come."""

    def send(self, data: bytes, flags: int, /) -> int:
        """Say a last word."""

    def close(self) -> None:
        """End the connection."""


class Line:
    """Used by one thread, but for `cut`. Every method may raise `Ended`."""

    def __init__(self, sock: socket.socket, idle_seconds: float, wire: Wire | None = None) -> None:
        """`wire` is what goes over the socket when that is not the bytes themselves."""
        self._sock, self.idle_seconds = sock, idle_seconds
        self._wire: Wire = wire or sock
        sock.setblocking(True)
        tick = min(TICK_SECONDS, idle_seconds / 2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(tick))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(tick))
        self._buffer = memoryview(bytearray(_WINDOW))
        self._start = self._end = 0
        self._moved_at = 0.0
        self._unconfirmed = 0

    def send(self, pieces: Pieces, size: int) -> None:
        """Send all of these pieces, `size` bytes together and at most 1024 of them (IOV_MAX)."""
        self._moved_at = 0.0
        sent = self._send_some(pieces)
        while sent < size:
            pieces = _behind(pieces, sent)
            size -= sent
            sent = self._send_some(pieces)

    def next_pdu(self, *, wait: bool = True) -> tuple[int, memoryview] | None:
        """The kind and the body of the next PDU; the body is valid until the next call.

        Without `wait`, None when it is not whole yet.
        """
        need = 6
        kind = -1
        self._moved_at = 0.0
        while True:
            if self._end - self._start >= need:
                if kind >= 0:
                    body = self._buffer[self._start + 6 : self._start + need]
                    self._start += need
                    return kind, body
                kind, length = pdu.HEADER.unpack_from(self._buffer, self._start)
                if length > (LONGEST_P_DATA if kind == pdu.P_DATA_TF else LONGEST_OTHER):
                    raise Garbage
                need += length
                continue
            if not self._fill(need, wait=wait):
                return None

    def peek(self) -> bool:
        """Whether something has come that nobody read: on an idle association, the end of it."""
        if self._start < self._end:
            return True
        try:
            self._wire.recv(1, socket.MSG_PEEK | _NOW)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def cut(self) -> None:
        """Wake whoever is blocked here; may be called from any thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self, last_word: bytes = b"") -> None:
        """End the connection. A last word is only said to a peer that takes what it gets."""
        with contextlib.suppress(OSError):
            if self._moved_at:  # the peer stood still: what waits in the kernel for it goes too
                reset_on_close(self._sock)
            elif last_word:
                self._wire.send(last_word, _NOW)
        self._wire.close()

    def _send_some(self, pieces: Pieces) -> int:
        while True:
            try:
                sent = self._wire.sendmsg(pieces)
            except BlockingIOError:
                self._still()
                continue
            except OSError:
                raise self._why_lost() from None
            self._moved_at = 0.0
            return sent

    def _fill(self, need: int, *, wait: bool) -> bool:
        """Append what has come; False when nothing has and nobody waits."""
        self._make_room(need)
        while True:
            try:
                count = self._wire.recv_into(self._buffer[self._end :], 0, 0 if wait else _NOW)
            except BlockingIOError:
                if not wait:
                    return False
                self._still()
                continue
            except OSError:
                raise Lost from None
            if not count:
                raise Lost
            self._moved_at = 0.0
            # A peer that leaves Nagle's algorithm on waits for this acknowledgement before the rest of its answer.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            self._end += count
            return True

    def _make_room(self, need: int) -> None:
        held = self._end - self._start
        if not held:
            self._start = self._end = 0
        if self._start + need <= len(self._buffer):
            return
        old = bytes(self._buffer[self._start : self._end])
        if need > len(self._buffer):
            self._buffer = memoryview(bytearray(need))
        self._buffer[:held] = old
        self._start, self._end = 0, held

    def _still(self) -> None:
        """Called after a tick without a byte for us: raise `Still` once nothing has moved for too long."""
        now, unconfirmed = time.monotonic(), unsent(self._sock)
        if not self._moved_at or unconfirmed != self._unconfirmed:
            self._moved_at, self._unconfirmed = now - (0 if self._moved_at else self._tick()), unconfirmed
        if now - self._moved_at >= self.idle_seconds:
            raise Still(self.idle_seconds)

    def _tick(self) -> float:
        return min(TICK_SECONDS, self.idle_seconds / 2)

    def _why_lost(self) -> Exception:
        """A peer that aborts says so before it closes, and we may have run into the closed door first."""
        with contextlib.suppress(Exception):
            while (found := self.next_pdu(wait=False)) is not None:
                if found[0] == pdu.ABORT:
                    return PeerAborted()
        return Lost()


def _behind(pieces: Pieces, sent: int) -> Pieces:
    """What is left of these pieces after their first `sent` bytes."""
    for number, piece in enumerate(pieces):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *pieces[number + 1 :]]
        sent -= len(piece)
    return []
