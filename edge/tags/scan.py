"""Walk the top level of a data set (PS3.5 chapter 7) and hand out the raw values of the wanted attributes.

The walk is iterative, skips what nobody asked for and never holds more than one wanted value, so garbage costs neither
memory nor stack. Nested sequences of undefined length are walked through only to find their end.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.tags.source import Unreadable

MAX_VALUE_BYTES = 16 * 1024
"""A longer value of a wanted attribute is not read: PS3.5 allows 64 to 10240 characters for those that rules use."""
MAX_ELEMENTS = 200_000
"""Elements walked before the header counts as unreadable; a bound on time for hostile input."""
UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

# PS3.5 7.1.2: these have two reserved bytes and a length of 32 bits; all others a length of 16 bits.
LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
SHORT = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"),
        *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)


class Source(Protocol):
    """Where the bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer at the end only."""

    def skip(self, size: int, /) -> None:
        """Pass over `size` bytes. Raises Unreadable when there are not so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawValue:
    """A wanted attribute's bytes as they arrived; None when there are too many of them."""

    tag: int
    vr: str
    """Empty when the transfer syntax does not carry it."""
    data: bytes | None


@dataclass(slots=True)
class Walker:
    """One walk over one data set."""

    source: Source
    implicit: bool
    big_endian: bool
    guessed: bool = False
    """The first element spoke against the transfer syntax that was announced."""
    _elements: int = 0

    def walk(self, wanted: Container[int], last: int) -> Iterator[RawValue]:
        """Yield wanted values up to the tag `last`. Raises Unreadable where the structure breaks."""
        first = True
        while head := self._head(first=first):
            first = False
            tag, vr, length = head
            if tag in (_ITEM, _ITEM_END, _SEQUENCE_END):
                # Left over from a sequence whose length was wrong: pass it, the rest is usually sound.
                self.source.skip(0 if length == UNDEFINED else length)
                continue
            if tag > last:
                return
            if length == UNDEFINED:
                self.pass_undefined(vr)
                if tag in wanted:
                    yield RawValue(tag=tag, vr=vr, data=None)
            elif tag not in wanted:
                self.source.skip(length)
            elif length > MAX_VALUE_BYTES:
                self.source.skip(length)
                yield RawValue(tag=tag, vr=vr, data=None)
            else:
                yield RawValue(tag=tag, vr=vr, data=self._exactly(length))

    def _head(self, *, first: bool = False) -> tuple[int, str, int] | None:
        """Tag, VR and length of the next element, or None at the end of the data set."""
        self._count()
        head = self.source.read(8)
        if not head:
            return None
        if len(head) < 8:
            raise Unreadable
        if first:
            self._settle(head)
        return self._parse(head, implicit=self.implicit)

    def _settle(self, head: bytes) -> None:
        # Some senders announce one encoding and send another; the first element, of group 0008, tells.
        if head[:2] in (b"\x08\x00", b"\x00\x08") and self.big_endian != (head[0] == 0):
            self.big_endian, self.guessed = not self.big_endian, True
        explicit = head[4:6] in LONG or head[4:6] in SHORT
        if explicit == self.implicit:
            self.implicit, self.guessed = not explicit, True

    def _parse(self, head: bytes, *, implicit: bool) -> tuple[int, str, int]:
        order = ">" if self.big_endian else "<"
        group, element = struct.unpack_from(order + "HH", head)
        tag = group << 16 | element
        if implicit or group == 0xFFFE:
            return tag, "", struct.unpack_from(order + "I", head, 4)[0]
        vr = head[4:6]
        if vr in SHORT:
            return tag, vr.decode("ascii"), struct.unpack_from(order + "H", head, 6)[0]
        if vr in LONG:
            return tag, vr.decode("ascii"), struct.unpack(order + "I", self._exactly(4))[0]
        if vr.isalpha() and vr.isupper():  # a VR of the future: PS3.5 6.2 gives it the long form
            return tag, "UN", struct.unpack(order + "I", self._exactly(4))[0]
        return tag, "", struct.unpack_from(order + "I", head, 4)[0]  # one implicit element among explicit ones

    def pass_undefined(self, vr: str) -> None:
        """Pass a value of undefined length: items up to its delimiter, whatever is nested in them."""
        # One entry for each open level: True for an item (holds elements), False for a sequence (holds items).
        open_levels = [False]
        # PS3.5 6.2.2, note 2: what is inside a UN of undefined length is Implicit VR, down to its end.
        implicit_from = 0 if self.implicit or vr == "UN" else None
        while open_levels:
            self._count()
            tag, vr, length = self._parse(self._exactly(8), implicit=implicit_from is not None)
            if tag in (_ITEM_END, _SEQUENCE_END):
                # Lenient: the end of a sequence ends its open item too; the end of no item at all is passed over.
                if open_levels[-1]:
                    open_levels.pop()
                if tag == _SEQUENCE_END:
                    open_levels.pop()
                if implicit_from is not None and len(open_levels) <= implicit_from:
                    implicit_from = None
            elif length != UNDEFINED:
                self.source.skip(length)
            else:
                if vr == "UN" and implicit_from is None:
                    implicit_from = len(open_levels)
                open_levels.append(tag == _ITEM)

    def _exactly(self, size: int) -> bytes:
        data = self.source.read(size)
        if len(data) < size:
            raise Unreadable
        return data

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise Unreadable
