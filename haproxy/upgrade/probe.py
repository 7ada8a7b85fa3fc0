"""Whether a node that is out of the pools answers a C-ECHO: asked at its own door, as HAProxy's check would.

Sources: PS3.8 section 9.3; the PROXY protocol, version 2, section 2.2 (LOCAL: a connection of the balancer's own).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from haproxy.pool.echo_check import SHORTEST_ANSWER, associate_request, echo_request, release_request

SECONDS = 5.0
LONGEST = 1 << 16
PROXY_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
_ACCEPTED, _DATA, _RELEASED = 2, 4, 6
_SUCCESS = bytes.fromhex("00000009020000000000")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomDoor:
    """Where a node takes associations, and what the pool's check calls it."""

    host: str
    port: int
    called: str
    calling: str
    proxied: bool


def probe(door: DicomDoor, *, seconds: float = SECONDS) -> str:
    """Empty when the node is well; else what it did instead, in words."""
    try:
        with socket.create_connection((door.host, door.port), timeout=seconds) as connection:
            connection.settimeout(seconds)
            return _conversation(connection, door)
    except OSError as error:
        return f"{door.host}:{door.port}: {error.strerror or error}"


def _conversation(connection: socket.socket, door: DicomDoor) -> str:
    hello = PROXY_LOCAL if door.proxied else b""
    connection.sendall(hello + associate_request(door.called, door.calling))
    kind, _ = _pdu(connection)
    if kind != _ACCEPTED:
        return f"it did not accept the association, but answered a PDU of type {kind}"
    connection.sendall(echo_request())
    kind, answer = _pdu(connection)
    if kind != _DATA or len(answer) < SHORTEST_ANSWER - 6 or not answer.endswith(_SUCCESS):
        return "it did not answer the C-ECHO with success"
    connection.sendall(release_request())
    kind, _ = _pdu(connection)
    return "" if kind == _RELEASED else "it did not release the association"


def _pdu(connection: socket.socket) -> tuple[int, bytes]:
    head = _exactly(connection, 6)
    length = int.from_bytes(head[2:6], "big")
    if length > LONGEST:
        raise OSError("it sends what is no DICOM")
    return head[0], _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        part = connection.recv(count - len(content))
        if not part:
            raise OSError("it closed the connection")
        content += part
    return bytes(content)
