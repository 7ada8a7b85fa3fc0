"""A data set as a tree of places: what is where in the original bytes (PS3.5 chapter 7).

No value is read here, so large ones cost nothing, and what nobody changes leaves byte for byte as it came: in its own
length form, its own padding and its own order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Protocol

from edge.data_dictionary import dictionary_vr, private_dictionary_vr
from edge.transform.failure import Impossible

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
MAX_ELEMENTS = 500_000
MAX_DEPTH = 32
LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
SHORT = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT"),
        *("PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
)


class Origin(Protocol):
    """Where the original bytes lie."""

    length: int

    def read(self, at: int, size: int, /) -> bytes:
        """Exactly these bytes; they are within `length`."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How elements are written."""

    implicit: bool
    big: bool

    @property
    def order(self) -> str:
        """As `struct` calls it."""
        return ">" if self.big else "<"


IMPLICIT_LITTLE = Coding(implicit=True, big=False)


@dataclass(slots=True, kw_only=True)
class Element:
    """One element and its place; `new` is the value that it gets."""

    tag: int
    vr: str
    """As written; empty in Implicit VR."""
    coding: Coding
    start: int = 0
    value_at: int = 0
    end: int = 0
    undefined: bool = False
    items: list[Level] | None = None
    new: bytes | None = None

    def touched(self) -> bool:
        """Whether it leaves in another form than it came."""
        return self.new is not None or any(item.touched() for item in self.items or ())


@dataclass(slots=True, kw_only=True)
class Level:
    """A data set or an item: its elements in the order in which they came."""

    coding: Coding
    start: int
    end: int = 0
    """Where its elements end; what delimits an item stands behind that."""
    undefined: bool = False
    elements: list[Element] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    """Groups in which an element was put or removed."""

    def touched(self) -> bool:
        """Whether it leaves in another form than it came."""
        return bool(self.changed) or any(one.touched() for one in self.elements)

    def find(self, tag: int) -> Element | None:
        """The first element of this tag."""
        return next((one for one in self.elements if one.tag == tag), None)

    def remove(self, gone: Element) -> None:
        """Without this one."""
        self.elements = [one for one in self.elements if one is not gone]
        self.changed.add(gone.tag >> 16)

    def put(self, tag: int, vr: str, value: bytes) -> None:
        """This value instead of the one that is there, or at its place in the order of tags."""
        new = Element(tag=tag, vr="" if self.coding.implicit else vr, coding=self.coding, new=value)
        self.changed.add(tag >> 16)
        kept = [one for one in self.elements if one.tag != tag]
        at = next((n for n, one in enumerate(kept) if one.tag > tag), len(kept))
        self.elements = [*kept[:at], new, *kept[at:]]

    def creator_of(self, tag: int, origin: Origin) -> str:
        """Who reserved the block of a private element (PS3.5 section 7.8.1); empty when nobody did."""
        reserved = self.find(tag & 0xFFFF0000 | (tag >> 8 & 0xFF)) if tag >> 8 & 0xFF else None
        if reserved is None or reserved.new is not None or not 0 < reserved.end - reserved.value_at <= 128:
            return ""
        return origin.read(reserved.value_at, reserved.end - reserved.value_at).decode("latin-1").strip(" \0")


class Reader:
    """Finds the places in one data set."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._count = 0

    def data_set(self, coding: Coding) -> Level:
        """All of it. Raises Impossible when its structure is not sound."""
        level = Level(coding=coding, start=0)
        level.end = self._fill(level, self.origin.length, depth=0)
        return level

    def items(self, element: Element, level: Level, depth: int) -> list[Level]:
        """The items of a sequence; none when it is none."""
        if element.new is not None:
            return []
        if element.items is None and self.vr(element, level) == "SQ":
            coding = IMPLICIT_LITTLE if element.vr == "UN" else element.coding
            element.items, _end = self._items(element.value_at, element.end, coding, depth + 1)
        return element.items or []

    def vr(self, element: Element, level: Level) -> str:
        """The VR as written, or that of the dictionary where none is; `UN` when nobody knows."""
        if element.vr not in ("", "UN"):
            return element.vr
        if element.items is not None:
            return "SQ"
        try:
            if not element.tag >> 16 & 1:
                return dictionary_vr(element.tag)
            if 0x10 <= element.tag & 0xFFFF <= 0xFF:
                return "LO"  # a creator
            return private_dictionary_vr(element.tag, level.creator_of(element.tag, self.origin))
        except KeyError:
            return "UN"

    def _fill(self, level: Level, limit: int, depth: int) -> int:
        """Read elements up to the limit, or to the end of an item of undefined length; where they end."""
        at = level.start
        while at < limit:
            tag, vr, length, value_at = self._head(at, limit, level.coding)
            if tag == ITEM_END and level.undefined:
                return at
            if tag >> 16 == 0xFFFE:
                raise Impossible("a delimiter stands where an element should")
            one = Element(tag=tag, vr=vr, coding=level.coding, start=at, value_at=value_at)
            if length != UNDEFINED:
                one.end = value_at + length
            elif tag in PIXELS or vr in ("OB", "OW"):
                one.undefined, one.end = True, self._fragments(value_at, limit, level.coding)
            else:
                coding = IMPLICIT_LITTLE if vr == "UN" else level.coding
                one.undefined = True
                one.items, one.end = self._items(value_at, limit, coding, depth + 1, undefined=True)
            if one.end > limit:
                raise Impossible("it ends before its length says so", tag)
            level.elements.append(one)
            at = one.end
        if level.undefined:
            raise Impossible("an item has no end")
        return at

    def _items(
        self, at: int, limit: int, coding: Coding, depth: int, *, undefined: bool = False
    ) -> tuple[list[Level], int]:
        if depth > MAX_DEPTH:
            raise Impossible(f"sequences are nested more than {MAX_DEPTH} deep")
        found: list[Level] = []
        while at < limit:
            tag, _vr, length, at = self._head(at, limit, Coding(implicit=True, big=coding.big))
            if tag == SEQUENCE_END and undefined:
                return found, at
            if tag != ITEM or (length != UNDEFINED and at + length > limit):
                raise Impossible("a sequence holds something else than items")
            level = Level(coding=coding, start=at, undefined=length == UNDEFINED)
            level.end = self._fill(level, limit if level.undefined else at + length, depth)
            at = level.end + 8 * level.undefined
            found.append(level)
        if undefined:
            raise Impossible("a sequence has no end")
        return found, at

    def _fragments(self, at: int, limit: int, coding: Coding) -> int:
        while at < limit:
            tag, _vr, length, at = self._head(at, limit, Coding(implicit=True, big=coding.big))
            if tag == SEQUENCE_END:
                return at
            if tag != ITEM or length == UNDEFINED:
                break
            at += length
        raise Impossible("its fragments are not sound", 0x7FE00010)

    def _head(self, at: int, limit: int, coding: Coding) -> tuple[int, str, int, int]:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise Impossible(f"the data set has more than {MAX_ELEMENTS} elements")
        if at + 8 > limit:
            raise Impossible("the data set ends within an element")
        head = self.origin.read(at, min(12, limit - at))
        group, number = struct.unpack_from(coding.order + "HH", head)
        tag = group << 16 | number
        if coding.implicit or group == 0xFFFE:
            return tag, "", struct.unpack_from(coding.order + "I", head, 4)[0], at + 8
        vr = head[4:6].decode("latin-1")
        if vr in SHORT:
            return tag, vr, struct.unpack_from(coding.order + "H", head, 6)[0], at + 8
        if vr not in LONG or len(head) < 12:
            raise Impossible("it is not encoded as its transfer syntax says", tag)
        return tag, vr, struct.unpack_from(coding.order + "I", head, 8)[0], at + 12


class BytesOrigin:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data, self.length = data, len(data)

    def read(self, at: int, size: int, /) -> bytes:
        """See `Origin.read`."""
        return self._data[at : at + size]
