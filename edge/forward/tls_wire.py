"""TLS over a connected socket, with the calls of a plain one that `Line` makes.

An `SSLSocket` has neither `sendmsg` nor `MSG_PEEK`, and does not keep to the kernel's time-outs. Here OpenSSL only
encrypts, in memory (`ssl.MemoryBIO`); bytes go over the same socket, with the same time-outs, as without TLS. Used by
one thread; another may shut the socket down.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence

from edge.upper_layer.sockets import timeval

_TICK_SECONDS = 1.0
_PORTION = 1 << 16
"""Bytes that are encrypted at a time: four records."""
_ARRIVALS = (1 << 14) + 512
"""One record of TLS with what is around it."""
_NOW = socket.MSG_DONTWAIT
Piece = bytes | bytearray | memoryview


class TlsWire:
    """Raises as a socket does: BlockingIOError when a time-out passed and nothing can be said yet, else OSError."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._raw = raw
        self._come, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._going, server_hostname=name)
        self._sealed = memoryview(b"")
        """Encrypted, and not in the kernel yet."""
        self._taken = 0
        """How much plain text that is; told when all of it is in the kernel."""
        self._early = b""
        self.has_read = False
        """Whether the peer ever said something under TLS."""
        self.fault: ssl.SSLError | None = None
        """What TLS itself, of either side, has against the other."""

    def shake_hands(self, until: float) -> None:
        """Agree with the peer.

        Raises:
            TimeoutError: not by then.
            OSError: one of the two does not want to; mostly an `ssl.SSLError`.
        """
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._raw.setsockopt(socket.SOL_SOCKET, option, timeval(_TICK_SECONDS))
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._patiently(until, receive=True)
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # it is told why
                    self._seal()
                    self._raw.send(self._sealed, _NOW)
                raise
            else:
                self._patiently(until, receive=False)
                return

    def sendmsg(self, pieces: Sequence[Piece], /) -> int:
        """Send the first of these pieces; the count is told once the kernel has them, so call again with the same."""
        if not self._sealed:
            self._taken = self._encrypt(pieces)
        self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def recv_into(self, room: memoryview, _count: int, flags: int, /) -> int:
        """Read what has come; 0 when the peer has ended it."""
        if self._early:
            count = min(len(room), len(self._early))
            room[:count], self._early = self._early[:count], self._early[count:]
            return count
        return self._read(room, flags)

    def recv(self, size: int, flags: int, /) -> bytes:
        """Look at what has come without taking it: only MSG_PEEK is understood."""
        if not self._early:
            room = bytearray(size)
            self._early = bytes(room[: self._read(memoryview(room), flags & _NOW)])
        return self._early

    def send(self, data: bytes, flags: int, /) -> int:
        """Say a last word, if the kernel takes it."""
        if not self._sealed:
            self._encrypt([data])
            self._raw.send(self._sealed, flags)
        return len(data)

    def close(self) -> None:
        """End it, with a close_notify (RFC 8446 section 6.1) when nothing stands before that."""
        with contextlib.suppress(OSError, ValueError):
            if not self._sealed:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
                self._seal()
                self._raw.send(self._sealed, _NOW)
        self._raw.close()

    def _read(self, room: memoryview, flags: int) -> int:
        while True:
            try:
                count: int = self._tls.read(len(room), room)  # type: ignore[assignment]  # what it gives with a buffer
            except ssl.SSLWantReadError:
                self._receive(flags)
                continue
            except ssl.SSLZeroReturnError:
                return 0
            except ssl.SSLEOFError:
                return 0
            except ssl.SSLError as error:
                self.fault = error
                raise
            self.has_read = self.has_read or bool(count)
            return count

    def _receive(self, flags: int) -> None:
        arrived = self._raw.recv(_ARRIVALS, flags)
        if arrived:
            self._come.write(arrived)
        else:
            self._come.write_eof()

    def _encrypt(self, pieces: Sequence[Piece]) -> int:
        portion = memoryview(b"".join(_first(pieces, _PORTION)))
        taken = 0
        while taken < len(portion):
            taken += self._tls.write(portion[taken:])
        self._seal()
        return taken

    def _seal(self) -> None:
        self._sealed = memoryview(self._going.read())

    def _flush(self) -> None:
        while self._sealed:
            self._sealed = self._sealed[self._raw.send(self._sealed) :]

    def _patiently(self, until: float, *, receive: bool) -> None:
        """Send what the handshake has to say, and receive an answer."""
        if not self._sealed:
            self._seal()
        while True:
            try:
                self._flush()
                if receive:
                    self._receive(0)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise TimeoutError from None
            else:
                return


def _first(pieces: Sequence[Piece], size: int) -> Iterator[memoryview]:
    for piece in pieces:
        yield memoryview(piece)[:size]
        size -= len(piece)
        if size <= 0:
            return
