"""A connection that is no association yet: what it has sent so far, and what that is (pure but for its socket)."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from edge.ingest.proxy import NotProxied, read_header
from edge.upper_layer import pdu
from edge.upper_layer.pdu import AssociationRequest

LONGEST_REQUEST = 1 << 20
"""Bytes of an A-ASSOCIATE-RQ: 128 contexts with 40 transfer syntaxes each have some 350,000."""
HEADER_BYTES = pdu.HEADER.size


class Unwelcome(Exception):
    """This connection will never become an association."""

    def __init__(self, outcome: str, last_word: bytes = b"") -> None:
        super().__init__(outcome)
        self.outcome, self.last_word = outcome, last_word


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A whole association request."""

    request: bytes
    """The A-ASSOCIATE-RQ with its header."""
    head: AssociationRequest
    rest: bytes
    """What came behind it."""


class Visitor:
    """Collects the beginning of a connection."""

    def __init__(self, sock: socket.socket, address: str, *, proxied: bool, deadline: float) -> None:
        self.sock, self.address, self.deadline = sock, address, deadline
        self.leaving = False
        """It has got its last word, and only its end is waited for."""
        self.is_check = False
        """Nobody is behind the balancer's connection: it asks for itself whether this node is well."""
        self._proxied = proxied
        self._data = bytearray()

    def add(self, data: bytes) -> Caller | None:
        """Append what came; the caller when the request is whole.

        Raises:
            Unwelcome: it is none.
        """
        self._data += data
        if self._proxied and not self._pass_proxy_header():
            return None
        if not self._data:
            return None
        if self._data[0] != pdu.ASSOCIATE_RQ:
            raise _unwelcome(self._data[0])
        if len(self._data) < HEADER_BYTES:
            return None
        _kind, length = pdu.HEADER.unpack_from(self._data)
        if length > LONGEST_REQUEST:
            raise Unwelcome("association-request-too-long", pdu.abort(pdu.INVALID_PARAMETER))
        whole = HEADER_BYTES + length
        if len(self._data) < whole:
            return None
        request = bytes(self._data[:whole])
        try:
            head = pdu.read_request(request[HEADER_BYTES:])
        except pdu.NotDicom as error:
            raise Unwelcome("bad-association-request", pdu.abort(pdu.INVALID_PARAMETER)) from error
        return Caller(request=request, head=head, rest=bytes(self._data[whole:]))

    def _pass_proxy_header(self) -> bool:
        try:
            header = read_header(self._data)
        except NotProxied as error:
            raise Unwelcome("no-proxy-header") from error
        if header is None:
            return False
        del self._data[: header.length]
        self.is_check = header.address is None
        self.address = header.address or self.address
        self._proxied = False
        return True


def _unwelcome(first: int) -> Unwelcome:
    if first == pdu.ABORT:
        return Unwelcome("unexpected-pdu")  # an abort is never answered with one (PS3.8 Table 9-10, state 2: AA-2)
    if first in (pdu.ASSOCIATE_AC, pdu.ASSOCIATE_RJ, pdu.P_DATA_TF, pdu.RELEASE_RQ, pdu.RELEASE_RP):
        return Unwelcome("unexpected-pdu", pdu.abort(pdu.UNEXPECTED_PDU))
    return Unwelcome("not-dicom", pdu.abort(pdu.UNRECOGNISED_PDU))
