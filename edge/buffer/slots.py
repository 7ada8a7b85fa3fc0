"""Slots: what spool files are called, and the sizes that they come in (pure).

A slot is one file that never moves and is used again and again. Its name is 16 hex digits: the shelf's 8 and a number's
8. An instance id is the slot's name and 16 digits of the generation, which grows with every occupancy, so an id is
never given twice and still says where the file is.
"""

from __future__ import annotations

import time
from bisect import bisect_left

from edge.errors import SpoolError

SUFFIX = ".dcm"
SLOT_DIGITS = 16
SHELF_DIGITS = 8
SLOTS_ON_A_SHELF = 4096
_STEP = 32 << 10
SIZES: tuple[int, ...] = (_STEP, *((1 << power) + _STEP for power in range(15, 25)))
"""Bytes of the files that are used again: the powers of two that images tend to have, and room for their headers."""
LARGEST = SIZES[-1]
_HEX = frozenset("0123456789abcdef")


def size_for(content: int) -> int | None:
    """The smallest size that holds so many bytes; None when its file is made for it alone and not used again."""
    at = bisect_left(SIZES, content)
    return SIZES[at] if at < len(SIZES) else None


def next_generation(last: int) -> int:
    """More than any that this slot had. It follows the clock, so that a spool made anew repeats no old id either."""
    return max(last + 1, time.time_ns())


def slot_of(instance_id: str) -> str:
    """The slot that this instance lies in.

    Raises:
        SpoolError: this is no instance id: no name from outside becomes a path.
    """
    if len(instance_id) != 2 * SLOT_DIGITS or not _HEX.issuperset(instance_id):
        raise SpoolError(f"not an instance id: {instance_id!r}")
    return instance_id[:SLOT_DIGITS]


def generation_of(instance_id: str) -> int:
    """Which occupancy of its slot this instance is."""
    return int(instance_id[SLOT_DIGITS:], 16)


def file_of(slot: str) -> str:
    """The slot's file, below the spool's root."""
    return f"{slot[:SHELF_DIGITS]}/{slot}{SUFFIX}"


def is_shelf(name: str) -> bool:
    """Whether a folder of this name is a shelf."""
    return len(name) == SHELF_DIGITS and _HEX.issuperset(name)


def is_slot_file(name: str, shelf: str) -> bool:
    """Whether a file of this name on this shelf is a slot."""
    stem = name.removesuffix(SUFFIX)
    return len(stem) == SLOT_DIGITS and stem + SUFFIX == name and stem.startswith(shelf) and _HEX.issuperset(stem)
