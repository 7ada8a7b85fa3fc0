"""Seeded mutations of valid bytes: what a broken or hostile sender might make of them."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Sequence

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_peer import DEFAULT_CONTEXTS, ECHO_CONTEXT
from tests.edge_samples import CT, data_set

CASES = int(os.environ.get("SKERRY_FUZZ_CASES", "4000"))
"""Mutated inputs in this run; `make fuzz` asks for a million."""
SEED = int(os.environ.get("SKERRY_FUZZ_SEED", "20261122"))
_EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 0x7F, 0x80, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(valid: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """The bytes after one to six mutations."""
    raw = bytearray(valid)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        _mutate(raw, chance, others)
    return bytes(raw)


def _mutate(raw: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    at = chance.randrange(len(raw) + 1)
    match chance.randrange(8):
        case 0:
            del raw[at : at + chance.choice((1, 2, 4, 8, 100))]
        case 1:
            raw[at:at] = chance.randbytes(chance.choice((1, 2, 4, 8, 100)))
        case 2:
            raw[at : at + 1] = bytes([chance.randrange(256)])
        case 3:
            number = chance.choice(_EDGES)
            raw[at : at + 4] = struct.pack(chance.choice("<>") + "L", number)
        case 4:
            number = chance.choice(_EDGES) & 0xFFFF
            raw[at : at + 2] = struct.pack(chance.choice("<>") + "H", number)
        case 5:
            end = at + chance.choice((2, 8, 64, 500))
            raw[at:at] = raw[at:end] * chance.choice((1, 2, 20))
        case 6:
            del raw[at:]
        case _:
            other = chance.choice(others) if others else bytes(raw)
            start = chance.randrange(len(other) + 1)
            raw[at : at + chance.choice((0, 8, 64))] = other[start : start + chance.choice((4, 64, 1_000))]


def association_requests() -> list[bytes]:
    """Valid requests, with every kind of item among them."""
    more = pdus.window_item(5, 1) + pdus.role_item(CT, scu=True, scp=False) + pdus.extended_item(CT, bytes(6))
    more += pdus.common_extended_item(CT, "1.2.840.10008.4.2", [CT]) + pdus.identity_item(2, b"a", b"b")
    many = [pdus.Context(context_id=number, abstract_syntax=CT) for number in range(1, 40, 2)]
    return [
        pdus.associate_rq(DEFAULT_CONTEXTS),
        pdus.associate_rq(DEFAULT_CONTEXTS, more=more),
        pdus.associate_rq(many),
    ]


def command_sets() -> list[bytes]:
    """Valid requests and responses."""
    request = commands.store_rq(b"1.2.3.4", more={0x1030: b"MOVER", 0x1031: 1})
    answer = commands.response(commands.read_command(request), 0)
    return [request, answer, commands.echo_rq(7), commands.store_rq(b"1.2.3.4", data_set_type=commands.NO_DATA_SET)]


def conversations() -> list[bytes]:
    """Valid messages behind an association, in several shapes, to the release."""
    store = commands.store_rq(b"1.2.3.4")
    content = data_set("1.2.3.4")
    whole = pdus.p_data(pdus.pdv(store, command=True)) + pdus.p_data(pdus.pdv(content))
    split = pdus.p_data(*pdus.fragments(store, range(0, 200, 17), command=True), *pdus.fragments(content, [100, 700]))
    echo = pdus.p_data(pdus.pdv(commands.echo_rq(2), context_id=ECHO_CONTEXT, command=True))
    return [whole + echo + pdus.release_rq(), split + whole + pdus.release_rq(), echo * 3 + whole + pdus.abort()]


def proxy_headers() -> list[bytes]:
    """Valid headers of both versions."""
    binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)
    return [b"PROXY TCP4 10.0.0.1 10.0.0.2 50000 104\r\n", b"PROXY UNKNOWN\r\n", binary]
