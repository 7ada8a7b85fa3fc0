"""What to do at each element head, worked out once: the same eight bytes come back in thousands of instances.

So do whole stretches of heads, from private blocks to all that stays the same within a series. The plan of the first
head of a stretch holds the row that followed it: all its heads are compared in one step, and only if every one is the
same the row is taken at once. A row that turns out different is cut where it differed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from edge.tags.scan import LONG, MAX_VALUE_BYTES, SHORT, UNDEFINED
from edge.tags.source import Unreadable
from edge.vocabulary import ATTRIBUTES

MOST_PLANS = 4096
MOST_ROWS = 256
"""Both bound the memory that made-up headers can take: a few megabytes."""
SHORTEST_ROW, LONGEST_ROW = 4, 64

TEXT, TEXTS, SMALL, WHOLE, DECIMAL, ODD = range(6)
"""A wanted value: one text, several, two bytes, a written whole or decimal number, or anything else."""
ONE, PASS, LOOK, END = range(4)
"""It is wanted; it is not; these eight bytes do not tell where it ends; nothing is wanted from here on."""

_TEXT_VRS = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "PN", "SH", "TM", "UI"))
_NUMBERS = {("integer", "US"): SMALL, ("integer", "IS"): WHOLE, ("decimal", "DS"): DECIMAL}
_KEYWORDS = {attribute.tag: keyword for keyword, attribute in ATTRIBUTES.items()}
_LAST = max(_KEYWORDS)
_ITEMS = 0xFFFE
_EXPLICIT = struct.Struct("<HH2sH").unpack
_IMPLICIT = struct.Struct("<HHI").unpack
_LENGTH = struct.Struct("<I").unpack_from


# All of these are bare tuples: to take a named one apart costs several times as much.
Wanted = tuple[int, int, str, str]
"""Form, tag, keyword, VR (empty when the data set carries none)."""
ReadParts = Callable[[bytes, int], tuple[Any, ...]]
Row = tuple[ReadParts, tuple[bytes, ...], int, ReadParts, tuple[Wanted, ...]]
"""How to read the heads, what they were, bytes of the whole row, how to read the wanted values, and which they are."""
Plan = tuple[int, int, Wanted, Row | None]
"""What to do, bytes to the next element, what is wanted, and the row that began here."""

NOTHING: Wanted = (ODD, 0, "", "")


class Head(NamedTuple):
    """One element head as it stands in a window."""

    tag: int
    vr: str
    size: int
    """8 or 12 bytes; 0 for what only the walker may judge."""
    length: int
    """Of the value; zero for a head of 12 bytes that was not seen whole."""


class Plans:
    """The plans for one of the two encodings."""

    def __init__(self, *, implicit: bool) -> None:
        self.implicit = implicit
        self.at: dict[bytes, Plan] = {}
        self._rows = 0

    def learn(self, window: bytes, position: int) -> None:
        """Make and keep the plan for the head at this position; at least eight bytes are there."""
        if len(self.at) >= MOST_PLANS:
            self.at.clear()
            self._rows = 0
        tag, vr, size, length = self._head(window, position)
        keyword, row, what = _KEYWORDS.get(tag), None, LOOK
        wanted = (_form(keyword, vr), tag, keyword, vr) if keyword else NOTHING
        if tag > _LAST and size:
            what = END
        elif _plain(tag, size, length):
            row = self._row(window, position, LONGEST_ROW)
            if size == 8:
                what = ONE if keyword else PASS
        self.at[window[position : position + 8]] = (what, size + length, wanted, row)

    def correct(self, window: bytes, position: int) -> None:
        """Cut the row of this head where this window has another head."""
        head = window[position : position + 8]
        what, step, wanted, row = self.at[head]
        if row:
            here = row[0](window, position)
            same = next(i for i, (one, other) in enumerate(zip(here, row[1], strict=True)) if one != other)
            self._rows -= 1
            self.at[head] = (what, step, wanted, self._row(window, position, same))

    def unwanted(self, window: bytes, position: int) -> Head:
        """The head of an element to be passed over. Raises Unreadable for what only the walker may judge."""
        head = self._head(window, position)
        if not head.size or head.tag in _KEYWORDS:
            raise Unreadable
        return head

    def _head(self, window: bytes, position: int) -> Head:
        eight = window[position : position + 8]
        if self.implicit:
            group, element, length = _IMPLICIT(eight)
            vr, size = "", 8
        else:
            group, element, code, length = _EXPLICIT(eight)
            vr, size = code.decode("latin-1"), 8 if code in SHORT else 12 if code in LONG else 0
            if size == 12:
                length = _LENGTH(window, position + 8)[0] if position + 12 <= len(window) else 0
        return Head(group << 16 | element, vr, 0 if group == _ITEMS else size, length)

    def _row(self, window: bytes, position: int, most: int) -> Row | None:
        here, last, heads_form, values_form = position, 0, "<", "<"
        heads: list[bytes] = []
        wanted: list[Wanted] = []
        while self._rows < MOST_ROWS and len(heads) < most and here + 12 <= len(window):
            tag, vr, size, length = self._head(window, here)
            keyword = _KEYWORDS.get(tag)
            if not _plain(tag, size, length) or here + size + length > len(window) or (keyword and tag <= last):
                break
            if keyword:
                last = tag
                wanted.append((_form(keyword, vr), tag, keyword, vr))
            heads.append(window[here : here + size])
            heads_form += f"{size}s{length}x"
            values_form += f"{size}x{length}{'s' if keyword else 'x'}"
            here += size + length
        if len(heads) < SHORTEST_ROW:
            return None
        self._rows += 1
        read_heads, read_values = struct.Struct(heads_form).unpack_from, struct.Struct(values_form).unpack_from
        return read_heads, tuple(heads), here - position, read_values, tuple(wanted)


def _plain(tag: int, size: int, length: int) -> bool:
    """Whether an element can be part of a row: its end is known, and a wanted one is short and has a short head."""
    if not size or tag > _LAST or length == UNDEFINED:
        return False
    return tag not in _KEYWORDS or (size == 8 and length <= MAX_VALUE_BYTES)


def _form(keyword: str, vr: str) -> int:
    attribute = ATTRIBUTES[keyword]
    real = attribute.vr if vr in {"", "UN"} else vr
    if attribute.kind in {"integer", "decimal"}:
        return _NUMBERS.get((attribute.kind, real), ODD)
    if real not in _TEXT_VRS:
        return ODD
    return TEXT if attribute.kind == "text" else TEXTS
