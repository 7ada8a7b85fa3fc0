"""Part 10 files taken apart, so that data sets can be compared byte by byte.

A receiver may write a file meta group of its own (PS3.10 7.1); what must not change on the way is the data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PREFIX_END = 132
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
_MEDIA_STORAGE_SOP_CLASS_UID = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003
_TRANSFER_SYNTAX_UID = 0x0010


class NotPart10(ValueError):
    """The bytes are not a whole DICOM Part 10 file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part10:
    """A file in its two parts."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes
    """Everything behind the file meta group, untouched."""

    @property
    def digest(self) -> str:
        """SHA-256 of the data set."""
        return hashlib.sha256(self.data_set).hexdigest()


def split_part10(raw: bytes) -> Part10:
    """The file meta's three UIDs and the bytes of the data set.

    Raises:
        NotPart10: no preamble and prefix, or the file meta group does not end inside the file.
    """
    if raw[128:_PREFIX_END] != b"DICM":
        raise NotPart10("no DICM prefix")
    uids: dict[int, str] = {}
    data_set_starts = _PREFIX_END
    for element, value, data_set_starts in _meta_elements(raw):  # noqa: B007
        if element in (_MEDIA_STORAGE_SOP_CLASS_UID, _MEDIA_STORAGE_SOP_INSTANCE_UID, _TRANSFER_SYNTAX_UID):
            uids[element] = value.rstrip(b"\0 ").decode("ascii", "replace")
    return Part10(
        sop_class_uid=uids.get(_MEDIA_STORAGE_SOP_CLASS_UID, ""),
        sop_instance_uid=uids.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, ""),
        transfer_syntax_uid=uids.get(_TRANSFER_SYNTAX_UID, ""),
        data_set=raw[data_set_starts:],
    )


def read_part10(path: Path) -> Part10:
    """The parts of a file on disk."""
    return split_part10(path.read_bytes())


def _meta_elements(raw: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Element number, value and end offset of each element of group 0002 (always explicit little endian)."""
    position = _PREFIX_END
    while raw[position : position + 2] == b"\x02\x00":
        element = int.from_bytes(raw[position + 2 : position + 4], "little")
        if raw[position + 4 : position + 6] in _LONG_VRS:
            start = position + 12
            length = int.from_bytes(raw[position + 8 : start], "little")
        else:
            start = position + 8
            length = int.from_bytes(raw[position + 6 : start], "little")
        position = start + length
        if position > len(raw):
            raise NotPart10("the file meta group is cut off")
        yield element, raw[start:position], position
