"""HAProxy's health check as a whole DICOM conversation: associate, C-ECHO, release. Pure.

Sources: PS3.8 section 9.3 (PDUs), PS3.7 section 9.3.5 and annex E (C-ECHO, its commands in Implicit VR Little Endian).
"""

from __future__ import annotations

from collections.abc import Iterator

VERIFICATION = b"1.2.840.10008.1.1"
IMPLICIT_LITTLE = b"1.2.840.10008.1.2"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
IMPLEMENTATION = b"2.25.272906287043817372406012468164914520417"
LONGEST_PDU = 16384
SHORTEST_ANSWER = 64
"""Bytes of a C-ECHO-RSP without its SOP class, which it may leave out (PS3.7 table 9.1-5); 90 with it."""


def associate_request(called: str, calling: str) -> bytes:
    """A-ASSOCIATE-RQ that proposes Verification only (PS3.8 table 9-11)."""
    context = bytes([1, 0, 0, 0]) + _item(0x30, VERIFICATION) + _item(0x40, IMPLICIT_LITTLE)
    user = _item(0x51, LONGEST_PDU.to_bytes(4, "big")) + _item(0x52, IMPLEMENTATION)
    fixed = b"\0\1\0\0" + _title(called) + _title(calling) + bytes(32)
    return _pdu(1, fixed + _item(0x10, APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user))


def echo_request() -> bytes:
    """P-DATA-TF with one C-ECHO-RQ (PS3.7 table 9.3-12)."""
    elements = (
        _element(0x0002, VERIFICATION + b"\0")
        + _element(0x0100, (0x0030).to_bytes(2, "little"))
        + _element(0x0110, (1).to_bytes(2, "little"))
        + _element(0x0800, (0x0101).to_bytes(2, "little"))
    )
    command = _element(0x0000, len(elements).to_bytes(4, "little")) + elements
    fragment = bytes([1, 0x03]) + command  # context 1; a command, and its last fragment
    return _pdu(4, len(fragment).to_bytes(4, "big") + fragment)


def release_request() -> bytes:
    """A-RELEASE-RQ (PS3.8 table 9-24)."""
    return _pdu(5, bytes(4))


def check_lines(called: str, calling: str) -> Iterator[str]:
    """The `tcp-check` rules; a check that fails names the step that did."""
    yield "option tcp-check"
    yield f"tcp-check send-binary {associate_request(called, calling).hex()} comment A-ASSOCIATE-RQ"
    yield "tcp-check expect min-recv 6 rbinary ^0200 comment A-ASSOCIATE-AC"
    yield f"tcp-check send-binary {echo_request().hex()} comment C-ECHO-RQ"
    # (0000,0900) Status, two bytes, 0000 is success; it is the last element of the answer. HAProxy judges once it has
    # so many bytes, and some (DCMTK) write an answer's header by itself: wait for the shortest whole answer.
    yield f"tcp-check expect min-recv {SHORTEST_ANSWER} rbinary ^0400.*00000009020000000000$ comment C-ECHO-RSP"
    yield f"tcp-check send-binary {release_request().hex()} comment A-RELEASE-RQ"
    yield "tcp-check expect min-recv 6 rbinary ^0600 comment A-RELEASE-RP"


def _title(text: str) -> bytes:
    return text.encode("ascii").ljust(16)[:16]


def _item(kind: int, content: bytes) -> bytes:
    return bytes([kind, 0]) + len(content).to_bytes(2, "big") + content


def _pdu(kind: int, content: bytes) -> bytes:
    return bytes([kind, 0]) + len(content).to_bytes(4, "big") + content


def _element(element: int, value: bytes) -> bytes:
    return b"\0\0" + element.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
