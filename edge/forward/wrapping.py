"""Data sets between the headers of P-DATA-TF PDUs (PS3.8 section 9.3.5), as pieces for one gathering write.

The file is read into one lent buffer whose fragments, and the headers between them, are made once for an association:
what one object costs in the interpreter does not grow with the number of its fragments.
"""

from __future__ import annotations

from edge.upper_layer.pdu import LAST, P_DATA_HEADER, P_DATA_TF, command_pdus

CHUNK = 1 << 20
"""Bytes that are read and sent together; an object that fits is proven before its first byte leaves."""
LONGEST_FRAGMENT = 1 << 18
"""Of a peer that takes PDUs of any length."""
MOST_FRAGMENTS = 500
"""In one write: each is two pieces, the command set is two more, and IOV_MAX is 1024."""
SMALLEST_MAXIMUM = 128
"""A peer that takes no longer PDU than this is not a peer."""


class Wrapping:
    """Wraps for one association; holds its only buffer."""

    def __init__(self, peer_maximum: int) -> None:
        """`peer_maximum` is the longest P-DATA-TF that the peer takes; 0 is without limit."""
        longest = min(peer_maximum or LONGEST_FRAGMENT + 6, LONGEST_FRAGMENT + 6) - 6
        self._size = longest - longest % 2
        self._count = max(1, min(CHUNK // self._size, MOST_FRAGMENTS))
        self.room = self._size * self._count
        """Bytes of a data set that fit."""
        self.buffer = memoryview(bytearray(self.room))
        self._pieces: list[bytes | memoryview] = []
        for start in range(0, self.room, self._size):
            self._pieces += [b"", self.buffer[start : start + self._size]]
        self._context = 0

    def wrap(self, context_id: int, length: int, *, last: bool) -> list[bytes | memoryview]:
        """The first `length` bytes of the buffer, ready to be sent; a chunk that is not the last one fills it."""
        if context_id != self._context:
            self._pieces[::2] = [_header(self._size, context_id, 0)] * self._count
            self._context = context_id
        if not last:
            return self._pieces
        whole = max(0, length - 1) // self._size
        start = whole * self._size
        return [*self._pieces[: 2 * whole], _header(length - start, context_id, LAST), self.buffer[start:length]]

    def wrap_command(self, context_id: int, command_set: bytes) -> list[bytes | memoryview]:
        """A command set, in as many PDUs as the peer's maximum asks for."""
        return [command_pdus(context_id, command_set, self._size + 6)]

    def size(self, length: int) -> int:
        """Bytes on the wire of so many bytes of a data set, or of a command set."""
        return length + max(1, -(-length // self._size)) * P_DATA_HEADER.size


def _header(length: int, context_id: int, control: int) -> bytes:
    return P_DATA_HEADER.pack(P_DATA_TF, length + 6, length + 2, context_id, control)
