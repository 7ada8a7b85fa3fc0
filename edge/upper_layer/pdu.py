"""Protocol data units as bytes (PS3.8 section 9.3): pure, without sockets and without objects for each PDU."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER = struct.Struct(">BxL")
"""Type, reserved, length of what follows."""
PDV_HEADER = struct.Struct(">LBB")
"""Length of what follows, presentation context, message control header (PS3.8 Annex E.2)."""
P_DATA_HEADER = struct.Struct(">BxLLBB")
"""A P-DATA-TF that carries one PDV: the six bytes of the PDU and the six of its PDV."""
COMMAND, LAST = 1, 2
"""Bits of the message control header."""
RELEASE_REQUEST = HEADER.pack(RELEASE_RQ, 4) + bytes(4)
RELEASE_RESPONSE = HEADER.pack(RELEASE_RP, 4) + bytes(4)
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
FIXED_PART = 68
"""Bytes of an A-ASSOCIATE-RQ or -AC between its header and its first item."""
_AE_TITLES = struct.Struct(">HH16s16s")
_ITEM = struct.Struct(">BxH")
_APPLICATION_CONTEXT_ITEM = 0x10

# Reasons of an A-ABORT whose source is the service provider (PS3.8 Table 9-26).
NOT_SPECIFIED, UNRECOGNISED_PDU, UNEXPECTED_PDU = 0, 1, 2
UNRECOGNISED_PARAMETER, UNEXPECTED_PARAMETER, INVALID_PARAMETER = 4, 5, 6


class NotDicom(ValueError):
    """These bytes are no PDU that may stand here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """What an A-ASSOCIATE-RQ says before its presentation contexts are looked at."""

    protocol_version: int
    application_context: str
    called_ae_title: str
    calling_ae_title: str


def abort(reason: int, *, by_user: bool = False) -> bytes:
    """An A-ABORT (PS3.8 section 9.3.8); a user's abort has no reason."""
    return HEADER.pack(ABORT, 4) + bytes((0, 0, 0 if by_user else 2, 0 if by_user else reason))


def rejection(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 section 9.3.4, Table 9-21)."""
    return HEADER.pack(ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def command_pdus(context_id: int, raw: bytes, longest: int) -> bytes:
    """The P-DATA-TF PDUs of a command set, none longer than the peer takes (PS3.8 9.3.5); 0 means any length."""
    room = max((longest or 1 << 16) - 6, 2)
    parts = []
    for at in range(0, len(raw), room):
        piece = raw[at : at + room]
        control = COMMAND | (LAST if at + room >= len(raw) else 0)
        parts.append(P_DATA_HEADER.pack(P_DATA_TF, len(piece) + 6, len(piece) + 2, context_id, control) + piece)
    return b"".join(parts)


def data_pdu(context_id: int, raw: bytes) -> bytes:
    """The P-DATA-TF of a data set that fits into any PDU (PS3.8 9.3.5)."""
    return P_DATA_HEADER.pack(P_DATA_TF, len(raw) + 6, len(raw) + 2, context_id, LAST) + raw


def read_request(body: bytes | bytearray | memoryview) -> AssociationRequest:
    """Read the head of an A-ASSOCIATE-RQ, without its header of six bytes.

    Raises:
        NotDicom: it is too short, or its items do not fit into it.
    """
    if len(body) < FIXED_PART:
        raise NotDicom("an A-ASSOCIATE-RQ is shorter than its fixed part")
    version, _reserved, called, calling = _AE_TITLES.unpack_from(body)
    context = ""
    at = FIXED_PART
    while at < len(body):
        if at + 4 > len(body):
            raise NotDicom("an item of the A-ASSOCIATE-RQ is cut off")
        kind, length = _ITEM.unpack_from(body, at)
        at += 4
        if at + length > len(body):
            raise NotDicom("an item of the A-ASSOCIATE-RQ is longer than the PDU")
        if kind == _APPLICATION_CONTEXT_ITEM:
            context = shown(bytes(body[at : at + length]))
        at += length
    return AssociationRequest(
        protocol_version=version,
        application_context=context,
        called_ae_title=shown(called),
        calling_ae_title=shown(calling),
    )


def shown(raw: bytes) -> str:
    """Text of a peer as it may stand in a log or a file: printable ASCII, without padding."""
    return "".join(chr(one) if 32 <= one < 127 else "?" for one in raw.rstrip(b"\0 ")).strip()
