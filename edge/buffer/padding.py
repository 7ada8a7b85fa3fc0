"""Data Set Trailing Padding (FFFC,FFFC): makes the rest of a slot part of a valid file (PS3.10 section 7.2; pure).

Only the element's header and our own mark are written. The rest of the slot is zeros already: it was wiped.
"""

from __future__ import annotations

import struct

from edge.transfer_syntaxes import BIG_ENDIAN, DEFLATED, IMPLICIT

_IMPLICIT_HEADER = struct.Struct("<HHI")
_EXPLICIT_HEADER = struct.Struct("<HH2sHI")
_BIG_ENDIAN_HEADER = struct.Struct(">HH2sHI")
_TAG = 0xFFFC
_MARK = struct.Struct("<Q")
TAIL_ROOM = _EXPLICIT_HEADER.size + _MARK.size
"""Bytes that have to be left behind a data set for a tail in any transfer syntax."""


def can_pad(transfer_syntax_uid: str) -> bool:
    """Whether anything may stand behind a data set in this transfer syntax; behind a deflated stream nothing may."""
    return transfer_syntax_uid not in DEFLATED


def tail(transfer_syntax_uid: str, room: int, generation: int) -> bytes:
    """The beginning of a padding element that fills `room` bytes; its value begins with the generation.

    `room` is at least `TAIL_ROOM`; the rest of the value is what the slot holds there, zeros.
    """
    if transfer_syntax_uid in IMPLICIT:
        header = _IMPLICIT_HEADER.pack(_TAG, _TAG, room - _IMPLICIT_HEADER.size)
    else:
        explicit = _BIG_ENDIAN_HEADER if transfer_syntax_uid == BIG_ENDIAN else _EXPLICIT_HEADER
        header = explicit.pack(_TAG, _TAG, b"OB", 0, room - explicit.size)
    return header + _MARK.pack(generation)


def is_whole(written: bytes, generation: int) -> bool:
    """Whether a tail came to its end."""
    return written.endswith(_MARK.pack(generation))
