"""Where a value of undefined length ends, in memory and little endian: `Walker.pass_undefined` without a stream."""

from __future__ import annotations

import struct

from edge.tags.scan import LONG, SHORT, UNDEFINED
from edge.tags.source import Unreadable

_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_DELIMITERS = 0xFFFE
_IMPLICIT = struct.Struct("<HHI").unpack_from
_LENGTH = struct.Struct("<I").unpack_from


def end_of_undefined(window: bytes, position: int, *, implicit: bool) -> int:
    """The position behind the value that begins here. Raises Unreadable when the window ends before it does."""
    # See the walker: True for an open item, False for an open sequence, and the level from which all is implicit.
    levels = [False]
    implicit_from = 0 if implicit else None
    last = len(window) - 8
    while levels:
        if position > last:
            raise Unreadable
        group, element, length = _IMPLICIT(window, position)
        position += 8
        unknown = False
        if implicit_from is None and group != _DELIMITERS:
            length, unknown, position = _explicit(window, position, length)
        if group == _DELIMITERS and element in (_ITEM_END, _SEQUENCE_END):
            if levels[-1]:
                levels.pop()
            if element == _SEQUENCE_END:
                levels.pop()
            if implicit_from is not None and len(levels) <= implicit_from:
                implicit_from = None
        elif length != UNDEFINED:
            position += length
        else:
            if unknown:
                implicit_from = len(levels)
            levels.append(group == _DELIMITERS and element == _ITEM)
    return position


def _explicit(window: bytes, position: int, length: int) -> tuple[int, bool, int]:
    """Length, whether the VR is UN, and where the value begins, for a head whose first eight bytes end here."""
    vr = window[position - 4 : position - 2]
    if vr in SHORT:
        return length >> 16, False, position
    future = vr.isalpha() and vr.isupper()
    if vr not in LONG and not future:
        return length, False, position  # one implicit element among explicit ones
    if position + 4 > len(window):
        raise Unreadable
    return _LENGTH(window, position)[0], vr == b"UN" or vr not in LONG, position + 4
