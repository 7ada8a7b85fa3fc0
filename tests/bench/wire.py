"""A DICOM peer of bare bytes: opens associations, says C-ECHO, or nothing (PS3.8 section 9.3, PS3.7 section 9.3.5)."""

from __future__ import annotations

import socket
import struct

_VERIFICATION = b"1.2.840.10008.1.1"
_IMPLICIT_LITTLE = b"1.2.840.10008.1.2"
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION = b"2.25.80302813137786398554742050926734630921"
_MAX_LENGTH = 16384

_ASSOCIATE_RQ, _ASSOCIATE_AC, _P_DATA, _RELEASE_RQ, _RELEASE_RP = 1, 2, 4, 5, 6
_TIMEOUT = 30.0


class WireError(Exception):
    """The other side answered with something else than was due."""


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _pdu(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(content)) + content


def _associate_rq() -> bytes:
    context = b"\x01\0\0\0" + _item(0x30, _VERIFICATION) + _item(0x40, _IMPLICIT_LITTLE)
    user = _item(0x51, struct.pack(">I", _MAX_LENGTH)) + _item(0x52, _IMPLEMENTATION)
    fixed = struct.pack(">H2x16s16s32x", 1, b"ANY-SCP".ljust(16), b"BENCH".ljust(16))
    return _pdu(_ASSOCIATE_RQ, fixed + _item(0x10, _APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user))


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _echo_rq() -> bytes:
    command = _element(0x0002, _VERIFICATION + b"\0") + _element(0x0100, struct.pack("<H", 0x0030))
    command += _element(0x0110, struct.pack("<H", 1)) + _element(0x0800, struct.pack("<H", 0x0101))
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    return _pdu(_P_DATA, struct.pack(">IBB", len(command) + 2, 1, 0x03) + command)


ASSOCIATE_RQ = _associate_rq()
ECHO_RQ = _echo_rq()
RELEASE_RQ = _pdu(_RELEASE_RQ, b"\0\0\0\0")
_STATUS_SUCCESS = _element(0x0900, b"\0\0")


def connect(address: tuple[str, int], *, source: str) -> socket.socket:
    """A connection from one of this machine's loopback addresses, of which each has ports of its own."""
    connection = socket.socket()
    try:
        connection.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_TIMEOUT)
        connection.bind((source, 0))
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def associate(address: tuple[str, int], *, source: str) -> socket.socket:
    """An open association, silent from now on.

    Raises:
        WireError: it was not accepted.
    """
    connection = connect(address, source=source)
    try:
        connection.sendall(ASSOCIATE_RQ)
        _expect(connection, _ASSOCIATE_AC)
    except BaseException:
        connection.close()
        raise
    return connection


def echo(address: tuple[str, int], *, source: str) -> None:
    """One association with one C-ECHO, released in good order.

    Raises:
        WireError: anything but success.
    """
    with associate(address, source=source) as connection:
        connection.sendall(ECHO_RQ)
        if _STATUS_SUCCESS not in _expect(connection, _P_DATA):
            raise WireError("C-ECHO was not answered with success")
        connection.sendall(RELEASE_RQ)
        _expect(connection, _RELEASE_RP)


def bare_connect(address: tuple[str, int], *, source: str, reset: bool) -> None:
    """A connection without a word, as health checks make them; closed in order, or with a reset."""
    with connect(address, source=source) as connection:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _expect(connection: socket.socket, kind: int) -> bytes:
    header = _exactly(connection, 6)
    content = _exactly(connection, struct.unpack(">I", header[2:])[0])
    if header[0] != kind:
        raise WireError(f"PDU type {header[0]} came instead of {kind}")
    return content


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise WireError("the connection was closed")
        received += part
    return bytes(received)
