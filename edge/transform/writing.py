"""From a changed tree to what is written: new bytes, and ranges of the original that pass as they are."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from edge.transform.elements import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG,
    SEQUENCE_END,
    UNDEFINED,
    Coding,
    Element,
    Level,
)
from edge.transform.failure import Impossible

Range = tuple[int, int]
Piece = bytes | Range
"""New bytes, or from where to where of the original."""


def pieces(level: Level) -> list[Piece]:
    """What stands there now, in order. Raises Impossible for a value that its length field cannot tell."""
    if not level.touched():
        return [(level.start, level.end)]
    written = [(one, _element(one)) for one in level.elements]
    touched = level.changed | {one.tag >> 16 for one in level.elements if one.touched()}
    found: list[Piece] = []
    for one, its in written:
        if not one.tag & 0xFFFF and one.tag >> 16 in touched and one.end - one.value_at == 4:
            # A retired Group Length (PS3.5 section 7.2) would lie from now on.
            total = sum(size(p) for other, p in written if other is not one and other.tag >> 16 == one.tag >> 16)
            its = [header(one.tag, one.vr, 4, one.coding) + struct.pack(one.coding.order + "I", total)]
        found += its
    return joined(found)


def size(found: Sequence[Piece]) -> int:
    """Bytes of all of it."""
    return sum(len(one) if isinstance(one, bytes) else one[1] - one[0] for one in found)


def joined(found: Sequence[Piece]) -> list[Piece]:
    """The same in as few pieces as possible."""
    out: list[Piece] = []
    for one in found:
        last = out[-1] if out else None
        if isinstance(one, bytes) and isinstance(last, bytes):
            out[-1] = last + one
        elif isinstance(one, tuple) and isinstance(last, tuple) and last[1] == one[0]:
            out[-1] = (last[0], one[1])
        else:
            out.append(one)
    return out


def header(tag: int, vr: str, length: int, coding: Coding) -> bytes:
    """What stands before a value (PS3.5 section 7.1)."""
    head = struct.pack(coding.order + "HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return head + struct.pack(coding.order + "I", length)
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(coding.order + "I", length)
    if length > 0xFFFE:
        raise Impossible("its new value is too long for its VR", tag)
    return head + vr.encode() + struct.pack(coding.order + "H", length)


def _element(one: Element) -> list[Piece]:
    if one.new is not None:
        return [header(one.tag, one.vr, len(one.new), one.coding) + one.new]
    if not one.touched():
        return [(one.start, one.end)]
    inner: list[Piece] = []
    coding = IMPLICIT_LITTLE if one.vr == "UN" else Coding(implicit=True, big=one.coding.big)
    for item in one.items or ():
        its = pieces(item)
        inner.append(header(ITEM, "", UNDEFINED if item.undefined else size(its), coding))
        inner += its
        if item.undefined:
            inner.append(header(ITEM_END, "", 0, coding))
    if one.undefined:
        inner.append(header(SEQUENCE_END, "", 0, coding))
    return [header(one.tag, one.vr, UNDEFINED if one.undefined else size(inner), one.coding), *inner]
