"""PDUs over a bare socket, whole or in pieces, and messages cut into PDVs and PDUs as a test likes."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tests import byte_pdus as pdus
from tests.byte_pdus import Pdu


class Wire:
    """One TCP connection that carries PDUs. Nothing is sent unless a method is called."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection

    def send(self, raw: bytes) -> None:
        """These bytes, as they are."""
        self.socket.sendall(raw)

    def send_pieces(self, raw: bytes, size: int, *, pause: float = 0.0) -> None:
        """These bytes in TCP segments of at most `size`."""
        for start in range(0, len(raw), size):
            self.send(raw[start : start + size])
            time.sleep(pause)

    def receive(self) -> Pdu | None:
        """The next PDU; None when the other side ended the connection."""
        try:
            head = self._exactly(6)
            if head is None:
                return None
            kind, _, length = struct.unpack(">BBL", head)
            body = self._exactly(length)
        except (ConnectionResetError, BrokenPipeError):
            return None
        return None if body is None else Pdu(kind=kind, body=body)

    def drain(self) -> list[Pdu]:
        """Whatever the other side still says until it ends the connection (a time-out when it does not)."""
        heard: list[Pdu] = []
        while (found := self.receive()) is not None:
            heard.append(found)
        return heard

    def reset(self) -> None:
        """Vanish: the connection ends with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """End the connection without a word of DICOM."""
        self.socket.close()

    def _exactly(self, count: int) -> bytes | None:
        held = bytearray()
        while len(held) < count:
            piece = self.socket.recv(min(count - len(held), 1 << 20))
            if not piece:
                return None
            held += piece
        return bytes(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def random_cuts(chance: random.Random, length: int, most: int) -> list[int]:
    """Places at which a content of this length is cut into at most `most` + 1 fragments."""
    return [chance.randrange(1, length) for _ in range(chance.randrange(most + 1))] if length > 1 else []


def gathered(pdvs: Iterable[bytes], chance: random.Random, *, limit: int, most: int = 8) -> list[bytes]:
    """P-DATA-TF PDUs with one to `most` of these PDVs each, none longer than `limit` when there are two."""
    made: list[bytes] = []
    together: list[bytes] = []
    room = chance.randrange(1, most + 1)
    for one in pdvs:
        if together and (len(together) == room or sum(map(len, together)) + len(one) > limit):
            made.append(pdus.p_data(*together))
            together, room = [], chance.randrange(1, most + 1)
        together.append(one)
    return [*made, pdus.p_data(*together)] if together else made
