"""The fast way through the headers that nearly every sender sends: Explicit and Implicit VR Little Endian, in memory.

Plain ASCII values are decoded on the way. Whatever is odd about the structure gives None, and the caller lets the
`Walker` read from the start: nothing here decides what a broken header means, so both ways give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.model import TagValue
from edge.tags.nested import end_of_undefined
from edge.tags.plans import DECIMAL, END, LOOK, ODD, ONE, PASS, SMALL, TEXT, TEXTS, WHOLE, Plans, Wanted
from edge.tags.scan import LONG, SHORT, UNDEFINED, RawValue
from edge.tags.source import Unreadable

FIRST_BYTES = 8 * 1024
"""One read of this length holds the header of most images."""
NEXT_BYTES = 64 * 1024
MOST_BYTES = 1024 * 1024
"""Read in all before the walker takes over: too few for its limit on the number of elements to matter."""
_MOST_DIGITS = 12
"""Of a plain number; more of them, a sign or an exponent are odd."""

ReadAt = Callable[[int, int], bytes]
"""So many bytes from an offset of the data set; fewer only where the file is cut off."""
Found = tuple[list[Wanted], list[bytes]]
"""What was found, and the bytes of each, in the order in which they stand."""

_PLANS = {implicit: Plans(implicit=implicit) for implicit in (False, True)}


@dataclass(slots=True)
class Header:
    """What a fast way found."""

    values: dict[str, TagValue] = field(default_factory=dict)
    odd: list[RawValue] = field(default_factory=list)
    """Wanted values that are not plain, in the order of their tags."""


def scan(read_at: ReadAt, length: int, *, implicit: bool) -> Header | None:
    """The wanted values of a data set of `length` bytes; None when its structure is odd."""
    first = min(length, FIRST_BYTES)
    window, plans = read_at(0, first), _PLANS[implicit]
    head = window[:8]
    if len(window) < first or len(head) < 8 or head[:2] == b"\x00\x08":
        return None
    if (head[4:6] in SHORT or head[4:6] in LONG) == implicit:
        return None  # another encoding than was announced
    found: Found = ([], [])
    position = stride(window, 0, plans, found)
    plan = plans.at.get(window[position : position + 8])
    if plan and plan[0] == END and position + 12 <= first:
        return plain_values(found)
    try:
        _Windows(read_at, length, plans, found, window, position).run()
    except Unreadable:
        return None
    return plain_values(found)


def stride(window: bytes, position: int, plans: Plans, found: Found) -> int:
    """Go from head to head as far as plans and bytes reach; tell where that ends. Wanted values go to `found`."""
    wanted, values = found
    plan_at, limit = plans.at.get, len(window)
    while plan := plan_at(window[position : position + 8]):
        what, step, one, row = plan
        if row:
            read_heads, heads, size, read_values, several = row
            if position + size <= limit:
                if read_heads(window, position) == heads:
                    wanted += several
                    values += read_values(window, position)
                    position += size
                else:
                    plans.correct(window, position)
                continue
        end = position + step
        if what == ONE and end <= limit:
            wanted.append(one)
            values.append(window[position + 8 : end])
        elif what != PASS:
            break
        position = end
    return position


def plain_values(found: Found) -> Header | None:
    """Decode what is plain; None when the tags do not ascend, as the walker sorts them."""
    header, last = Header(), 0
    values = header.values
    for (form, tag, keyword, vr), data in zip(*found, strict=True):
        if tag <= last:
            return None
        last = tag
        if form <= TEXTS and (text := data.rstrip(b"\0 ").decode("latin-1")).isascii() and text.isprintable():
            if form == TEXT:
                if text := text.strip(" "):
                    values[keyword] = text
            elif text.strip(" \\"):
                values[keyword] = tuple([part.strip(" ") for part in text.split("\\")])
        elif form == SMALL and len(data) == 2:
            values[keyword] = data[0] | data[1] << 8
        elif (number := _plain_number(form, data)) is not None:
            values[keyword] = number
        elif data or form == ODD:  # what is empty has no value, but an odd VR is undecodable all the same
            header.odd.append(RawValue(tag=tag, vr=vr, data=data))
    return header


def _plain_number(form: int, data: bytes) -> int | float | None:
    digits = data.strip(b" \0")
    if len(digits) > _MOST_DIGITS:
        return None
    if form == WHOLE:
        return int(digits) if digits.isdigit() else None
    return float(digits) if form == DECIMAL and digits.replace(b".", b"", 1).isdigit() else None


@dataclass(slots=True)
class _Windows:
    """The rest of a walk that one stride does not end."""

    read_at: ReadAt
    length: int
    plans: Plans
    found: Found
    window: bytes
    position: int
    """In the window."""
    base: int = 0
    """Where the window begins in the data set."""
    spent: int = FIRST_BYTES

    def run(self) -> None:
        """Walk to the end of what is wanted. Raises Unreadable for what only the walker may judge."""
        while True:
            left = len(self.window) - self.position
            if left < 12 and not self._whole():
                self._fetch(NEXT_BYTES)
            elif left == 0:
                return
            elif left < 8:
                raise Unreadable
            elif self._step(left):
                return
            self.position = stride(self.window, self.position, self.plans, self.found)

    def _step(self, left: int) -> bool:
        """Do what a stride cannot do at this head; tell whether it is the end."""
        plan = self.plans.at.get(self.window[self.position : self.position + 8])
        if plan is None:
            self.plans.learn(self.window, self.position)
            return False
        if plan[0] == END:
            if left < 12:  # the walker reads a long head whole, also of what nobody wants
                raise Unreadable
            return True
        if plan[0] == LOOK:
            self._look()
        else:  # a wanted value that begins in this window and ends behind it
            self._fetch(NEXT_BYTES)
        return False

    def _look(self) -> None:
        """Pass over a value with a long head or without a length, or get more bytes of it."""
        head = self.plans.unwanted(self.window, self.position)
        if head.length != UNDEFINED:
            self.position += head.size + head.length
            return
        implicit = self.plans.implicit or head.vr == "UN"
        try:
            self.position = end_of_undefined(self.window, self.position + head.size, implicit=implicit)
        except Unreadable:
            self._fetch(2 * len(self.window))

    def _whole(self) -> bool:
        """Whether the window reaches the end of the data set."""
        return self.base + len(self.window) >= self.length

    def _fetch(self, size: int) -> None:
        """Begin the window at the position, and read so many bytes into it, or to the end of the data set."""
        if self._whole():
            raise Unreadable  # there is no more: something is cut off
        self.base, self.position = self.base + self.position, 0
        size = min(size, self.length - self.base)
        self.spent += size
        if size <= 0 or self.spent > MOST_BYTES:
            raise Unreadable
        self.window = self.read_at(self.base, size)
        if len(self.window) < size:
            raise Unreadable
