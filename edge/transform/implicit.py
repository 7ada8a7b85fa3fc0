"""A data set in Explicit VR Little Endian written in Implicit VR Little Endian (PS3.5 A.1, pure): values stay bytes."""

from __future__ import annotations

import struct

from edge.transform.elements import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Coding,
    Element,
    Level,
    Origin,
    Reader,
)
from edge.transform.failure import Impossible
from edge.transform.writing import Piece, header, joined, size


def implicit(origin: Origin) -> list[Piece]:
    """What stands there then, as new bytes and ranges of the original.

    Raises:
        Impossible: its structure is not sound, or its pixels are compressed.
    """
    reader = Reader(origin)
    return _level(reader, reader.data_set(Coding(implicit=False, big=False)), 0)


def _level(reader: Reader, level: Level, depth: int) -> list[Piece]:
    written = [(one, _element(reader, one, level, depth)) for one in level.elements]
    groups: dict[int, int] = {}
    for one, its in written:
        if one.tag & 0xFFFF:
            groups[one.tag >> 16] = groups.get(one.tag >> 16, 0) + size(its)
    found: list[Piece] = []
    for one, its in written:
        if not one.tag & 0xFFFF and one.end - one.value_at == 4:
            # A retired Group Length (PS3.5 section 7.2) tells how long the others of its group are.
            its = [_head(one.tag, 4) + struct.pack("<I", groups.get(one.tag >> 16, 0))]
        found += its
    return joined(found)


def _element(reader: Reader, one: Element, level: Level, depth: int) -> list[Piece]:
    if one.undefined and one.items is None:
        raise Impossible("its pixels are compressed, which Implicit VR cannot say", one.tag)
    if one.vr != "SQ":
        # What is in a sequence of VR UN is implicit already (PS3.5 section 6.2.2).
        length = UNDEFINED if one.undefined else one.end - one.value_at
        return [_head(one.tag, length), (one.value_at, one.end)]
    inner: list[Piece] = []
    for item in reader.items(one, level, depth):
        its = _level(reader, item, depth + 1)
        inner += [_head(ITEM, UNDEFINED if item.undefined else size(its)), *its]
        if item.undefined:
            inner.append(_head(ITEM_END, 0))
    if one.undefined:
        inner.append(_head(SEQUENCE_END, 0))
    return [_head(one.tag, UNDEFINED if one.undefined else size(inner)), *inner]


def _head(tag: int, length: int) -> bytes:
    return header(tag, "", length, IMPLICIT_LITTLE)
