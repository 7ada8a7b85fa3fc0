"""The PROXY protocol, versions 1 and 2: the address of a modality that comes through a load balancer (pure).

Source: the protocol's own specification, "The PROXY protocol, versions 1 & 2", sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

LONGEST_V1 = 107
_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEADER = struct.Struct(">12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


class NotProxied(ValueError):
    """A trusted balancer's connection does not begin with a PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header."""

    length: int
    """Bytes that it took."""
    address: str | None
    """The peer behind the balancer; None when the balancer speaks for itself, as its health checks do."""


def read_header(data: bytes | bytearray) -> ProxyHeader | None:
    """The header at the beginning of a connection, or None while it is not whole.

    Raises:
        NotProxied: whatever comes, it will be no PROXY header.
    """
    if data[:1] == _V2[:1]:
        return _version_2(data)
    if _V1.startswith(bytes(data[: len(_V1)])) or data.startswith(_V1):
        return _version_1(data)
    raise NotProxied


def _version_1(data: bytes | bytearray) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, LONGEST_V1)
    if end < 0:
        if len(data) >= LONGEST_V1:
            raise NotProxied
        return None
    words = bytes(data[:end]).decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        return ProxyHeader(end + 2, None)
    if words[1] not in ("TCP4", "TCP6") or len(words) != 6:
        raise NotProxied
    return ProxyHeader(end + 2, _address(words[2]))


def _version_2(data: bytes | bytearray) -> ProxyHeader | None:
    if not _V2.startswith(bytes(data[: len(_V2)])):
        raise NotProxied
    if len(data) < _V2_HEADER.size:
        return None
    _signature, command, family, length = _V2_HEADER.unpack_from(data)
    whole = _V2_HEADER.size + length
    if command not in (_LOCAL, _PROXY):
        raise NotProxied
    if len(data) < whole:
        return None
    addresses = bytes(data[_V2_HEADER.size : whole])
    if command == _PROXY and family == _TCP4 and length >= 12:
        return ProxyHeader(whole, str(ipaddress.IPv4Address(addresses[:4])))
    if command == _PROXY and family == _TCP6 and length >= 36:
        return ProxyHeader(whole, str(ipaddress.IPv6Address(addresses[:16])))
    return ProxyHeader(whole, None)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise NotProxied from error
