"""DIMSE command sets made and read by hand (PS3.7 sections 6.3 and 9.3): Implicit VR Little Endian, group 0000 only."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

AFFECTED_CLASS, COMMAND, MESSAGE_ID, ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
PRIORITY, DATA_SET_TYPE, STATUS, AFFECTED_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000
STORE_RQ, STORE_RSP, ECHO_RQ, ECHO_RSP = 0x0001, 0x8001, 0x0030, 0x8030
WITH_DATA_SET, NO_DATA_SET = 0x0001, 0x0101
VERIFICATION = b"1.2.840.10008.1.1"

Value = int | bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command set taken apart."""

    elements: Mapping[int, bytes]

    def number(self, element: int) -> int:
        """The value of an unsigned short element."""
        return int.from_bytes(self.elements[element], "little")

    def text(self, element: int) -> str:
        """The value of a UID element without its padding."""
        return self.elements.get(element, b"").decode("latin-1").strip("\0 ")

    @property
    def field(self) -> int:
        """Which request or response it is."""
        return self.number(COMMAND)

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows."""
        return self.number(DATA_SET_TYPE) != NO_DATA_SET


def command_set(values: Mapping[int, Value], *, group_length: int | None = None) -> bytes:
    """The encoded command set: a number as unsigned short, bytes padded to even length, None left out."""
    body = b"".join(element(number, value) for number, value in sorted(values.items()) if value is not None)
    length = len(body) if group_length is None else group_length
    return struct.pack("<HHLL", 0, 0, 4, length) + body


def element(number: int, value: int | bytes) -> bytes:
    """One element of group 0000."""
    encoded = struct.pack("<H", value) if isinstance(value, int) else value + b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(encoded)) + encoded


def store_rq(
    uid: Value,
    *,
    sop_class: Value = b"1.2.840.10008.5.1.4.1.1.2",
    message_id: Value = 1,
    data_set_type: Value = WITH_DATA_SET,
    command: Value = STORE_RQ,
    more: Mapping[int, Value] | None = None,
) -> bytes:
    """A C-STORE-RQ in which anything may be wrong or absent (PS3.7 Table 9.3-1)."""
    values: dict[int, Value] = {
        AFFECTED_CLASS: sop_class,
        COMMAND: command,
        MESSAGE_ID: message_id,
        PRIORITY: 0,
        DATA_SET_TYPE: data_set_type,
        AFFECTED_INSTANCE: uid,
    }
    return command_set({**values, **(more or {})})


def echo_rq(message_id: int = 1) -> bytes:
    """A C-ECHO-RQ (PS3.7 Table 9.3-12)."""
    return command_set(
        {AFFECTED_CLASS: VERIFICATION, COMMAND: ECHO_RQ, MESSAGE_ID: message_id, DATA_SET_TYPE: NO_DATA_SET}
    )


def response(request: Command, status: int) -> bytes:
    """The response to a C-STORE-RQ or C-ECHO-RQ (PS3.7 Tables 9.3-2 and 9.3-13)."""
    return command_set(
        {
            AFFECTED_CLASS: request.elements.get(AFFECTED_CLASS),
            COMMAND: request.field | 0x8000,
            ANSWERED_ID: request.number(MESSAGE_ID),
            DATA_SET_TYPE: NO_DATA_SET,
            STATUS: status,
            AFFECTED_INSTANCE: request.elements.get(AFFECTED_INSTANCE),
        }
    )


def read_command(raw: bytes) -> Command:
    """A command set taken apart; strict about what stands in it."""
    elements: dict[int, bytes] = {}
    position = 0
    before = -1
    while position < len(raw):
        group, number, length = struct.unpack_from("<HHL", raw, position)
        assert group == 0, "a command set has group 0000 only"
        assert number > before, "elements stand in ascending order"
        value = raw[position + 8 : position + 8 + length]
        assert len(value) == length, "every element ends inside the command set"
        elements[number], before = value, number
        position += 8 + length
    assert int.from_bytes(elements[0x0000], "little") == len(raw) - 12, "the group length is right"
    return Command(elements=elements)
