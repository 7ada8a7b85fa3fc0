"""What pynetdicom 3.0.4 leaves open on a connection: limits of time and size, and an end that is always told.

Its upper layer reads a PDU to its announced length, whatever that is and however long it takes, and an exception in its
thread ends the thread without a word to the peer. All that this module replaces is on the instances of one connection:
`AssociationSocket.recv` and the `run` of its two threads.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

ABORT_PDU = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"  # A-ABORT, service provider, invalid parameter (PS3.8 9.3.8)
CHUNK = 1 << 16


class Oversized(OSError):
    """The peer announced a PDU larger than it was told to send."""


def guard(
    association: Any, *, seconds: float, limit: int, broken: Callable[[Exception], None], over: Callable[[], None]
) -> None:
    """Bound what this connection's peer can hold; call before its threads start.

    A peer has `seconds` from the connection to the association, and then as long between two pieces of a PDU.
    `broken` hears of the exception that ends the connection, `over` of its end, however it came.
    """
    association.dul.socket.recv = _reader(association, seconds, limit, broken)
    association.dul.run = _provider(association, association.dul.run, broken)
    association.run = _finally(association.run, over)


def cut(association: Any) -> None:
    """End this connection now, whatever the peer and the library's threads are doing with it."""
    connection = association.dul.socket.socket if association.dul.socket else None
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def _reader(
    association: Any, seconds: float, limit: int, broken: Callable[[Exception], None]
) -> Callable[[int], bytearray]:
    connection: socket.socket = association.dul.socket.socket
    connection.settimeout(seconds)
    deadline = time.monotonic() + seconds

    def recv(count: int) -> bytearray:
        """As many bytes, or fewer when the peer closed (the contract of `AssociationSocket.recv`)."""
        if count > limit:
            error = Oversized(f"a PDU of {count} bytes is larger than the {limit} that were announced")
            broken(error)
            raise error
        data = bytearray()
        while len(data) < count:
            if not association.is_established:
                connection.settimeout(max(0.001, min(seconds, deadline - time.monotonic())))
            elif connection.gettimeout() != seconds:
                connection.settimeout(seconds)
            piece = connection.recv(min(count - len(data), CHUNK))
            if not piece:
                break
            data += piece
        return data

    return recv


def _provider(association: Any, run: Callable[[], None], broken: Callable[[Exception], None]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            run()
        except Exception as error:
            # The thread's own end would print values from the peer, and leave the peer without an answer.
            broken(error)
            with contextlib.suppress(OSError, AttributeError):
                association.dul.socket.socket.send(ABORT_PDU)
            cut(association)
            association.dul.to_user_queue.put(None)

    return guarded


def _finally(run: Callable[[], None], over: Callable[[], None]) -> Callable[[], None]:
    def told() -> None:
        try:
            run()
        finally:
            over()

    return told
