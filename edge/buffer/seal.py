"""The seal in the 128-byte preamble of a spool file, which PS3.10 section 7.1 leaves to the application.

Layout, little endian: magic (8), format version (2), reserved (2), data set offset (4), data set length (8),
received at in microseconds since the epoch (8), CRC-32 of the data set (4), CRC-32 of the file meta (4),
CRC-32 of the fields before it (4); zeros up to 128.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PREAMBLE_LENGTH = 128
MAGIC = b"SKERRY\r\n"
FORMAT_VERSION = 1
_FIELDS = struct.Struct("<8sHHIQQII")
_CHECK = struct.Struct("<I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a complete spool file says of itself."""

    data_set_offset: int
    data_set_length: int
    received_at: datetime
    checksum: int
    meta_checksum: int


def to_microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970 in UTC; exact, unlike a float timestamp."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The aware UTC moment that `to_microseconds` was given."""
    return _EPOCH + value * _MICROSECOND


def pack(seal: Seal) -> bytes:
    """The 128 preamble bytes of a sealed file."""
    fields = _FIELDS.pack(
        MAGIC,
        FORMAT_VERSION,
        0,
        seal.data_set_offset,
        seal.data_set_length,
        to_microseconds(seal.received_at),
        seal.checksum,
        seal.meta_checksum,
    )
    return (fields + _CHECK.pack(zlib.crc32(fields))).ljust(PREAMBLE_LENGTH, b"\0")


def unpack(preamble: bytes) -> Seal | None:
    """The seal in these bytes, or None when they hold no whole seal of a known format."""
    if len(preamble) < PREAMBLE_LENGTH or not preamble.startswith(MAGIC):
        return None
    fields = preamble[: _FIELDS.size]
    (check,) = _CHECK.unpack_from(preamble, _FIELDS.size)
    if check != zlib.crc32(fields):
        return None
    _magic, version, _reserved, offset, length, received, checksum, meta_checksum = _FIELDS.unpack(fields)
    if version != FORMAT_VERSION:
        return None
    return Seal(
        data_set_offset=offset,
        data_set_length=length,
        received_at=from_microseconds(received),
        checksum=checksum,
        meta_checksum=meta_checksum,
    )
