"""What mad peers send, and the names under which their ends are counted (used by `test_hostile_peers.py`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_peer import DEFAULT_CONTEXTS
from tests.edge_samples import CT, data_set

TIMEOUT = 1.5
"""Seconds that a node under these probes gives a peer."""
ACCEPTED = pdus.associate_rq(DEFAULT_CONTEXTS)
LATE = ("never-established",)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What one mad peer sends."""

    outcome: tuple[str, ...]
    """Under one of these names its end is counted."""
    raw: bytes
    associates: bool = True
    within: float = TIMEOUT + 2


def _command(raw: bytes) -> bytes:
    return pdus.p_data(pdus.pdv(raw, command=True))


REQUEST = _command(commands.store_rq(b"1.2.3"))
"""A C-STORE-RQ without its data set."""
PROBES = {
    "half a PDU header": Probe(associates=False, outcome=LATE, raw=b"\x01\x00\x00"),
    "half an association request": Probe(associates=False, outcome=LATE, raw=ACCEPTED[:100]),
    "an association request of 4 GB": Probe(
        associates=False, outcome=("association-request-too-long",), raw=b"\x01\x00\xff\xff\xff\xff", within=1
    ),
    "an association request of no bytes": Probe(
        associates=False, outcome=("bad-association-request",), raw=pdus.pdu(pdus.ASSOCIATE_RQ, b""), within=1
    ),
    "an association request whose item is too long": Probe(
        associates=False,
        outcome=("bad-association-request",),
        raw=pdus.pdu(pdus.ASSOCIATE_RQ, ACCEPTED[6:74] + b"\x10\x00\xff\xff1.2"),
        within=1,
    ),
    "an association request of garbage items": Probe(
        associates=False,
        outcome=("bad-association-request", "rejected-application-context"),
        raw=pdus.pdu(pdus.ASSOCIATE_RQ, ACCEPTED[6:74] + bytes(range(256)) * 20),
        within=1,
    ),
    "a context that has no transfer syntax": Probe(
        associates=False,
        outcome=("bad-association-request",),
        raw=pdus.associate_rq(pdus.item(0x20, b"\x01\0\0\0" + pdus.item(0x30, CT.encode()))),
        within=1,
    ),
    "an even context id": Probe(
        associates=False,
        outcome=("bad-association-request",),
        raw=pdus.associate_rq(
            pdus.item(0x20, b"\x02\0\0\0" + pdus.item(0x30, CT.encode()) + pdus.item(0x40, b"1.2.840.10008.1.2"))
        ),
        within=1,
    ),
    "HTTP": Probe(associates=False, outcome=("not-dicom",), raw=b"GET / HTTP/1.1\r\nHost: skerry\r\n\r\n", within=1),
    "TLS": Probe(
        associates=False,
        outcome=("not-dicom",),
        raw=bytes.fromhex("16030100c8010000c40303") + bytes(194),
        within=1,
    ),
    "a PROXY header from a stranger": Probe(
        associates=False, outcome=("not-dicom",), raw=b"PROXY TCP4 10.0.0.1 10.0.0.2 1 104\r\n", within=1
    ),
    "P-DATA before an association": Probe(associates=False, outcome=("unexpected-pdu",), raw=REQUEST, within=1),
    "a release before an association": Probe(
        associates=False, outcome=("unexpected-pdu",), raw=pdus.release_rq(), within=1
    ),
    "zeros": Probe(associates=False, outcome=("not-dicom",), raw=bytes(4096), within=1),
    "a PDU of 4 GB": Probe(outcome=("pdu-too-long",), raw=b"\x04\x00\xff\xff\xff\xff", within=1),
    "a PDU one byte longer than negotiated": Probe(
        outcome=("pdu-too-long",), raw=b"\x04\x00" + struct.pack(">L", (256 << 10) + 1), within=1
    ),
    "a PDU without a PDV": Probe(outcome=("bad-pdv-length",), raw=pdus.pdu(pdus.P_DATA_TF, b""), within=1),
    "a PDV longer than its PDU": Probe(
        outcome=("bad-pdv-length",), raw=pdus.pdu(pdus.P_DATA_TF, b"\0\0\xff\xff\x01\x03" + bytes(20)), within=1
    ),
    "a PDV of one byte": Probe(
        outcome=("bad-pdv-length",), raw=pdus.pdu(pdus.P_DATA_TF, b"\0\0\0\x01\x01\x03"), within=1
    ),
    "presentation context 0": Probe(
        outcome=("bad-presentation-context",), raw=pdus.p_data(pdus.pdv(b"x", context_id=0, command=True)), within=1
    ),
    "an even presentation context": Probe(
        outcome=("bad-presentation-context",), raw=pdus.p_data(pdus.pdv(b"x", context_id=2, command=True)), within=1
    ),
    "a context that was not negotiated": Probe(
        outcome=("bad-presentation-context",), raw=pdus.p_data(pdus.pdv(b"x", context_id=7, command=True)), within=1
    ),
    "a garbage command set": Probe(outcome=("bad-command-set",), raw=_command(b"garbage!" * 9), within=1),
    "an empty command set": Probe(outcome=("bad-command-set",), raw=_command(b""), within=1),
    "a command that nobody knows": Probe(
        outcome=("bad-command-set",),
        raw=_command(commands.store_rq(b"1.2.3", command=0x7777)),
        within=1,
    ),
    "a command set without a command": Probe(
        outcome=("bad-command-set",), raw=_command(commands.store_rq(b"1.2.3", command=None)), within=1
    ),
    "a service that is not offered": Probe(
        outcome=("bad-message", "service-not-supported", "service-failed"),
        raw=_command(commands.store_rq(None, command=0x0020, data_set_type=0x0101)),
        within=1,
    ),
    "a response to nothing": Probe(
        outcome=("bad-message", "service-not-supported", "service-failed", "bad-command-set"),
        raw=_command(commands.store_rq(b"1.2.3", command=0x8001, data_set_type=0x0101)),
        within=1,
    ),
    "a command set of a mebibyte": Probe(
        outcome=("command-too-long",), raw=pdus.p_data(pdus.pdv(bytes(200_000), command=True, last=False)) * 6
    ),
    "a data set without a command": Probe(
        outcome=("data-without-command",), raw=pdus.p_data(pdus.pdv(data_set())), within=1
    ),
    "a command inside a data set": Probe(outcome=("command-inside-data",), raw=REQUEST + REQUEST, within=1),
    "a data set on another context": Probe(
        outcome=("command-inside-data", "context-changed"),
        raw=REQUEST + pdus.p_data(pdus.pdv(b"data", context_id=3)),
        within=1,
    ),
    "a second association request": Probe(outcome=("unexpected-pdu",), raw=ACCEPTED, within=1),
    "an answer to an association request": Probe(
        outcome=("unexpected-pdu",), raw=pdus.pdu(pdus.ASSOCIATE_AC, bytes(200)), within=1
    ),
    "an unknown PDU": Probe(outcome=("unrecognised-pdu",), raw=pdus.pdu(0x42, bytes(10)), within=1),
    "silence inside a PDU header": Probe(outcome=("silent",), raw=b"\x04\x00\x00"),
    "silence inside a PDV": Probe(
        outcome=("silent",), raw=REQUEST + b"\x04\x00\x00\x02\x00\x00\x00\x01\xff\xfc\x01\x00" + bytes(10)
    ),
    "silence inside an object": Probe(outcome=("stalled",), raw=REQUEST),
}
