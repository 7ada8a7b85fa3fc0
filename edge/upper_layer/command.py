"""Command sets of C-STORE, C-FIND and C-ECHO (PS3.7 9.3.1 to 9.3.5) in Implicit VR Little Endian (6.3.1), by hand.

A command set has a dozen short elements. A general reader makes an object of each; these functions make none.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_FIND_RQ, C_FIND_RSP = 0x0020, 0x8020
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
N_EVENT_REPORT_RSP = 0x8100
VERIFICATION = "1.2.840.10008.1.1"
NO_DATA_SET = 0x0101
REQUESTS = frozenset((0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150))
"""Command fields of requests: C-STORE, C-GET, C-FIND, C-MOVE, C-ECHO, C-CANCEL and the N-services (PS3.7 Annex E.1)."""
MAXIMUM_BYTES = 1 << 16
"""The longest command set that is read. A C-STORE-RQ has at most some 400 bytes."""
_ELEMENT = struct.Struct("<HHL")
_SHORT_ELEMENT = struct.Struct("<HHLH")
_GROUP_LENGTH = struct.Struct("<HHLL")

SOP_CLASS, FIELD, MESSAGE_ID, RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, STATUS, ERROR_COMMENT, SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x0902, 0x1000
MOVE_ORIGINATOR, MOVE_MESSAGE_ID = 0x1030, 0x1031


class BadCommand(ValueError):
    """These bytes are no command set."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a C-STORE-RSP says."""

    message_id: int
    """Of the request that it answers."""
    status: int
    comment: str


def read(raw: bytes | bytearray | memoryview) -> dict[int, bytes]:
    """The elements of group 0000 by element number, with their bytes as they came.

    Raises:
        BadCommand: an element of another group, or one that is longer than what is left.
    """
    found: dict[int, bytes] = {}
    at, end = 0, len(raw)
    unpack = _ELEMENT.unpack_from
    while at < end:
        if at + 8 > end:
            raise BadCommand("a command set ends inside an element")
        group, element, length = unpack(raw, at)
        at += 8
        if group or at + length > end:
            raise BadCommand("a command set has an element that cannot be one")
        found[element] = bytes(raw[at : at + length])
        at += length
    return found


def number(elements: dict[int, bytes], element: int) -> int | None:
    """The value of a US element; None when it is absent or not two bytes long."""
    value = elements.get(element)
    return None if value is None or len(value) != 2 else value[0] | value[1] << 8


def uid(elements: dict[int, bytes], element: int) -> str:
    """The value of a UI element without padding; other than ASCII becomes `?`; empty when it is absent."""
    return elements.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace").replace("�", "?")


def store_response(
    *, message_id: int, sop_class_uid: bytes, sop_instance_uid: bytes, status: int, comment: str = ""
) -> bytes:
    """A C-STORE-RSP (PS3.7 Table 9.3-2). The UIDs are those of the request, byte for byte; empty ones are left out."""
    parts = [
        _element(SOP_CLASS, sop_class_uid) if sop_class_uid else b"",
        _short(FIELD, C_STORE_RSP),
        _short(RESPONDED_TO, message_id),
        _short(DATA_SET_TYPE, NO_DATA_SET),
        _short(STATUS, status),
    ]
    if comment:
        parts.append(_element(ERROR_COMMENT, comment.encode("ascii", "replace")[:64]))
    if sop_instance_uid:
        parts.append(_element(SOP_INSTANCE, sop_instance_uid))
    return _whole(b"".join(parts))


def store_request(*, message_id: int, sop_class_uid: str, sop_instance_uid: str, priority: int = 0) -> bytes:
    """A C-STORE-RQ (PS3.7 Table 9.3-1) with a data set."""
    return _whole(
        _element(SOP_CLASS, sop_class_uid.encode("ascii", "replace"))
        + _short(FIELD, C_STORE_RQ)
        + _short(MESSAGE_ID, message_id)
        + _short(PRIORITY, priority)
        + _short(DATA_SET_TYPE, 0x0001)
        + _element(SOP_INSTANCE, sop_instance_uid.encode("ascii", "replace"))
    )


def echo_request(*, message_id: int) -> bytes:
    """A C-ECHO-RQ (PS3.7 Table 9.3-12)."""
    return _whole(
        _element(SOP_CLASS, VERIFICATION.encode("ascii"))
        + _short(FIELD, C_ECHO_RQ)
        + _short(MESSAGE_ID, message_id)
        + _short(DATA_SET_TYPE, NO_DATA_SET)
    )


def read_echo_status(raw: bytes | bytearray | memoryview) -> int:
    """The status of a C-ECHO-RSP (PS3.7 Table 9.3-13).

    Raises:
        BadCommand: it is something else, or has no status.
    """
    elements = read(raw)
    status = number(elements, STATUS)
    if number(elements, FIELD) != C_ECHO_RSP or status is None:
        raise BadCommand("the answer to a C-ECHO request is not a C-ECHO response")
    return status


def find_request(*, message_id: int, sop_class_uid: str) -> bytes:
    """A C-FIND-RQ (PS3.7 Table 9.3-3) with an identifier."""
    return _whole(
        _element(SOP_CLASS, sop_class_uid.encode("ascii"))
        + _short(FIELD, C_FIND_RQ)
        + _short(MESSAGE_ID, message_id)
        + _short(PRIORITY, 0)
        + _short(DATA_SET_TYPE, 0x0001)
    )


def read_find_status(raw: bytes | bytearray | memoryview) -> tuple[int, bool]:
    """The status of a C-FIND-RSP (PS3.7 Table 9.3-4), and whether an identifier follows.

    Raises:
        BadCommand: it is something else, or has no status.
    """
    elements = read(raw)
    status = number(elements, STATUS)
    if number(elements, FIELD) != C_FIND_RSP or status is None:
        raise BadCommand("the answer to a C-FIND request is not a C-FIND response")
    return status, number(elements, DATA_SET_TYPE) != NO_DATA_SET


def read_answer(raw: bytes | bytearray | memoryview) -> Answer:
    """Read a C-STORE-RSP.

    Raises:
        BadCommand: it is something else, or has no status or no message to respond to.
    """
    elements = read(raw)
    status, message_id = number(elements, STATUS), number(elements, RESPONDED_TO)
    if number(elements, FIELD) != C_STORE_RSP or status is None or message_id is None:
        raise BadCommand("the answer to a C-STORE request is not a C-STORE response")
    comment = elements.get(ERROR_COMMENT, b"").decode("ascii", "replace").rstrip("\0 ")
    return Answer(message_id=message_id, status=status, comment=comment)


def _whole(elements: bytes) -> bytes:
    return _GROUP_LENGTH.pack(0, 0, 4, len(elements)) + elements


def _element(element: int, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if element != ERROR_COMMENT else b" "
    return _ELEMENT.pack(0, element, len(value)) + value


def _short(element: int, value: int) -> bytes:
    return _SHORT_ELEMENT.pack(0, element, 2, value)
