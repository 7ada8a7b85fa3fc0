"""DIMSE messages out of P-DATA-TF PDUs (PS3.8 section 9.3.5, PS3.7 section 6.3): in place, in any split, in any size.

A message's command set is collected; its data set is handed on in pieces of the connection's window, so an object of
any size passes in constant memory and is copied once, by the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from edge.upper_layer import command, pdu
from edge.upper_layer.connection import Connection
from edge.upper_layer.ends import PeerAborted, ProtocolBroken, Released

MOST_PIECES = 1000
"""Pieces in one write: IOV_MAX is 1024, and a file has a head and a tail of its own."""
Pieces = Sequence[memoryview | bytes]


@dataclass(slots=True)
class Command:
    """A whole command set, and the presentation context that it came on."""

    context_id: int
    raw: bytes


class Messages:
    """The messages of one association, as they come."""

    def __init__(self, connection: Connection, contexts: Container[int], longest_pdu: int) -> None:
        """`longest_pdu` is what we told the peer (PS3.8 Annex D.1); 0 says that any length may come."""
        self._connection, self._contexts = connection, contexts
        self._longest = longest_pdu or 0xFFFFFFFF
        self._pdu_left = self._pdv_left = 0
        self._context = self._control = 0
        self._inside = False

    def next_command(self) -> Command:
        """Wait for the next command set.

        Raises:
            AssociationEnded: in one of its ways; `Released` when the peer asked for it.
        """
        connection = self._connection
        self._inside = False
        if not self._pdu_left:
            connection.message_begins()
        parts: list[bytes] = []
        size, context = 0, 0
        while True:
            piece = self._piece()
            if not self._control & pdu.COMMAND:
                raise ProtocolBroken("data-without-command", pdu.UNEXPECTED_PARAMETER)
            if context and context != self._context:
                raise ProtocolBroken("context-changed", pdu.UNEXPECTED_PARAMETER)
            context = self._context
            if piece:
                parts.append(bytes(piece))
                size += len(piece)
            if size > command.MAXIMUM_BYTES:
                raise ProtocolBroken("command-too-long")
            if not self._pdv_left and self._control & pdu.LAST:
                return Command(context, b"".join(parts))

    def data_set(self, context_id: int, write: Callable[[Pieces], None]) -> Pieces:
        """Pass the data set that follows its command: full windows to `write`, the rest returned.

        What is returned is a view of the window: it is valid until the next message is asked for.

        Raises:
            AssociationEnded: the data set is not whole.
        """
        pieces: list[memoryview] = []

        def make_room() -> None:
            write(pieces)
            pieces.clear()

        while True:
            if len(pieces) >= MOST_PIECES:
                make_room()
            piece = self._piece(make_room if pieces else None)
            if self._control & pdu.COMMAND or self._context != context_id:
                raise ProtocolBroken("command-inside-data", pdu.UNEXPECTED_PARAMETER)
            if piece:
                pieces.append(piece)
            if not self._pdv_left and self._control & pdu.LAST:
                return pieces

    def skip_data_set(self, context_id: int) -> None:
        """Read a data set to its end and keep nothing of it."""
        self.data_set(context_id, lambda _pieces: None)

    def _piece(self, make_room: Callable[[], None] | None = None) -> memoryview:
        """What is there of the current PDV, or of the next one when that one is done."""
        connection = self._connection
        if not self._pdv_left:
            self._next_pdv(make_room)
            if not self._pdv_left:
                return connection.view[0:0]
        if connection.start == connection.end:
            self._room_for(1, make_room)
            connection.fill()
        start = connection.start
        length = min(self._pdv_left, connection.end - start)
        connection.start = start + length
        self._pdv_left -= length
        self._pdu_left -= length
        return connection.view[start : start + length]

    def _next_pdv(self, make_room: Callable[[], None] | None) -> None:
        while not self._pdu_left:
            self._next_pdu(make_room)
        if self._pdu_left < 6:
            raise ProtocolBroken("bad-pdv-length")
        self._need(6, make_room)
        connection = self._connection
        length, self._context, self._control = pdu.PDV_HEADER.unpack_from(connection.view, connection.start)
        connection.start += 6
        if length < 2 or length + 4 > self._pdu_left:
            raise ProtocolBroken("bad-pdv-length")
        if self._context not in self._contexts:
            raise ProtocolBroken("bad-presentation-context")
        self._pdu_left -= 6
        self._pdv_left = length - 2

    def _next_pdu(self, make_room: Callable[[], None] | None) -> None:
        self._need(6, make_room, between=self._inside)
        self._inside = True
        connection = self._connection
        kind, length = pdu.HEADER.unpack_from(connection.view, connection.start)
        connection.start += 6
        if kind == pdu.P_DATA_TF:
            if length > self._longest:
                raise ProtocolBroken("pdu-too-long", hint=_TOO_LONG)
            if length < 6:
                raise ProtocolBroken("bad-pdv-length")
            self._pdu_left = length
        elif kind == pdu.RELEASE_RQ:
            connection.send(pdu.RELEASE_RESPONSE)
            raise Released
        elif kind == pdu.ABORT:
            raise PeerAborted
        elif kind in (pdu.ASSOCIATE_RQ, pdu.ASSOCIATE_AC, pdu.ASSOCIATE_RJ, pdu.RELEASE_RP):
            raise ProtocolBroken("unexpected-pdu", pdu.UNEXPECTED_PDU)
        else:
            raise ProtocolBroken("unrecognised-pdu", pdu.UNRECOGNISED_PDU)

    def _need(self, count: int, make_room: Callable[[], None] | None, *, between: bool = False) -> None:
        connection = self._connection
        if connection.end - connection.start >= count:
            return
        self._room_for(count, make_room)
        while connection.end - connection.start < count:
            connection.fill(between=between and connection.start == connection.end)

    def _room_for(self, count: int, make_room: Callable[[], None] | None) -> None:
        """Room in the window for `count` bytes from its start on; what was handed out is written first."""
        connection = self._connection
        if connection.start + count <= len(connection.view) and connection.end < len(connection.view):
            return
        if make_room is not None:
            make_room()
        left = connection.end - connection.start
        connection.view[:left] = bytes(connection.view[connection.start : connection.end])
        connection.start, connection.end = 0, left


_TOO_LONG = "The peer sent a PDU larger than it was told to. Mend the sender, or raise max_pdu_bytes."
