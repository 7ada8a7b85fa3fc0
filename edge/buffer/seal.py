"""The seal in the 128-byte preamble of a spool file, which PS3.10 section 7.1 leaves to the application.

Layout, little endian: magic (8), format version (2), length of the tail (2), data set offset (4), data set length (8),
received at in microseconds since the epoch (8), slot (8), generation (8), CRC-32 of the data set (4), CRC-32 of the
file meta (4), CRC-32 of the fields before it (4); zeros up to 128.

The tail is what the same write put behind the data set; it ends with the generation. A write is carried out from front
to back, so a tail that is not there tells a write that was cut off from a disk that forgot.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from isal.isal_zlib import crc32

PREAMBLE_LENGTH = 128
UNSEALED = bytes(PREAMBLE_LENGTH)
MAGIC = b"SKERRY\r\n"
FORMAT_VERSION = 2
_FIELDS = struct.Struct("<8sHHIQQQQII")
_CHECK = struct.Struct("<I")
_FILL = bytes(PREAMBLE_LENGTH - _FIELDS.size - _CHECK.size)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a complete spool file says of itself."""

    instance_id: str
    tail_length: int
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
    return _EPOCH + timedelta(microseconds=value)


def pack(seal: Seal) -> bytes:
    """The 128 preamble bytes of a sealed file."""
    return pack_fields(
        tail_length=seal.tail_length,
        offset=seal.data_set_offset,
        length=seal.data_set_length,
        received_at=to_microseconds(seal.received_at),
        slot=int(seal.instance_id[:16], 16),
        generation=int(seal.instance_id[16:], 16),
        checksum=seal.checksum,
        meta_checksum=seal.meta_checksum,
    )


def pack_fields(
    *,
    tail_length: int,
    offset: int,
    length: int,
    received_at: int,
    slot: int,
    generation: int,
    checksum: int,
    meta_checksum: int,
) -> bytes:
    """The same from bare numbers, for the path that a sender waits on."""
    fields = _FIELDS.pack(
        MAGIC,
        FORMAT_VERSION,
        tail_length,
        offset,
        length,
        received_at,
        slot,
        generation,
        checksum,
        meta_checksum,
    )
    return fields + _CHECK.pack(crc32(fields)) + _FILL


def unpack(preamble: bytes) -> Seal | None:
    """The seal in these bytes, or None when they hold no whole seal of a known format."""
    if len(preamble) < PREAMBLE_LENGTH or not preamble.startswith(MAGIC):
        return None
    fields = preamble[: _FIELDS.size]
    (check,) = _CHECK.unpack_from(preamble, _FIELDS.size)
    if check != crc32(fields):
        return None
    _magic, version, tail, offset, length, received, slot, generation, checksum, meta_checksum = _FIELDS.unpack(fields)
    if version != FORMAT_VERSION:
        return None
    return Seal(
        instance_id=f"{slot:016x}{generation:016x}",
        tail_length=tail,
        data_set_offset=offset,
        data_set_length=length,
        received_at=from_microseconds(received),
        checksum=checksum,
        meta_checksum=meta_checksum,
    )
