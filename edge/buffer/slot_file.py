"""What one spool file holds, read from the file alone, and how it is emptied."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from isal.isal_zlib import crc32

from edge.buffer import padding
from edge.buffer.part10 import FileMeta, decode_meta
from edge.buffer.seal import PREAMBLE_LENGTH, Seal, unpack
from edge.buffer.slots import file_of
from edge.errors import SpoolFull
from edge.model import SealedInstance

_CHUNK = 1 << 20
_ZEROS = memoryview(bytes(_CHUNK))


class Content(Enum):
    """What is in a file."""

    NOTHING_SEALED = auto()
    """Its sender got no success."""
    CUT_OFF = auto()
    """The write of a sealed object was cut off; its sender got no success either."""
    SEALED = auto()
    """An instance in custody."""
    DAMAGED = auto()
    """A seal, and something else than what was sealed."""


@dataclass(frozen=True, slots=True)
class Found:
    """The content, and the instance when there is a whole one."""

    content: Content
    sealed: SealedInstance | None = None


class DataSetFile(io.RawIOBase):
    """The bytes of one data set and no other: what follows them in the file is not to be seen.

    Holds a shared lock on the file, so that its slot is not given to another instance meanwhile.
    """

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        super().__init__()
        self._descriptor, self._offset, self._length, self._at = descriptor, offset, length, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The file of the slot: the data set does not begin at its beginning, nor end at its end."""
        return self._descriptor

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See `io.RawIOBase.readinto`."""
        view = memoryview(buffer)[: max(0, self._length - self._at)]
        got = os.preadv(self._descriptor, [view], self._offset + self._at) if view else 0
        self._at += got
        return got

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.IOBase.seek`; the beginning and the end are those of the data set."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def close(self) -> None:
        """Give the slot back to whoever waits for it."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def lock(descriptor: int, *, shared: bool = False) -> bool:
    """Whether the file is ours now: nobody reads it, and no ingest process holds it for an instance."""
    if shared:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def preamble_of(descriptor: int) -> bytes:
    """The first 128 bytes, fewer when there are no more."""
    return os.pread(descriptor, PREAMBLE_LENGTH, 0)


def is_unsealed(preamble: bytes) -> bool:
    """Whether nothing was ever sealed under these first bytes."""
    return len(preamble) < PREAMBLE_LENGTH or not any(preamble)


def look(descriptor: int, slot: str) -> Found:
    """What the slot's file holds, proven against its seal."""
    preamble = preamble_of(descriptor)
    if is_unsealed(preamble):
        return Found(Content.NOTHING_SEALED)
    seal = unpack(preamble)
    if seal is None or not seal.instance_id.startswith(slot):
        return Found(Content.DAMAGED)
    meta = _proven(descriptor, seal)
    if meta is not None:
        return Found(Content.SEALED, sealed_of(seal, meta))
    return Found(Content.CUT_OFF if _cut_off(descriptor, seal) else Content.DAMAGED)


def sealed_of(seal: Seal, meta: FileMeta) -> SealedInstance:
    """The instance that a seal and its file meta speak of."""
    return SealedInstance(
        instance_id=seal.instance_id,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        facts=meta.facts,
        received_at=seal.received_at,
        data_set_offset=seal.data_set_offset,
        data_set_length=seal.data_set_length,
        checksum=seal.checksum,
    )


def has_bytes(descriptor: int, offset: int, length: int, checksum: int) -> bool:
    """Whether `length` bytes from `offset` on are there and have this CRC-32."""
    seen, buffer = 0, memoryview(bytearray(min(_CHUNK, max(1, length))))
    while length:
        got = os.preadv(descriptor, [buffer[: min(length, _CHUNK)]], offset)
        if not got:
            return False
        seen = crc32(buffer[:got], seen)
        offset, length = offset + got, length - got
    return seen == checksum


def is_blank(descriptor: int) -> bool:
    """Whether the file holds zeros only."""
    at = 0
    while chunk := os.pread(descriptor, _CHUNK, at):
        if chunk != _ZEROS[: len(chunk)]:
            return False
        at += len(chunk)
    return True


def wipe(descriptor: int, size: int) -> None:
    """Overwrite everything with zeros, and return when that is on the disk. The file has this size then.

    Raises:
        SpoolFull: it could not be made so large.
        OSError: the disk failed.
    """
    end = max(size, os.fstat(descriptor).st_size)
    try:
        for start in range(0, end, _CHUNK):
            rest = _ZEROS[: end - start]
            while rest:
                rest = rest[os.pwrite(descriptor, rest, start + min(_CHUNK, end - start) - len(rest)) :]
    except OSError as error:
        raise SpoolFull from error
    if end > size:
        os.ftruncate(descriptor, size)
    os.fdatasync(descriptor)


def _proven(descriptor: int, seal: Seal) -> FileMeta | None:
    encoded = os.pread(descriptor, seal.data_set_offset - PREAMBLE_LENGTH, PREAMBLE_LENGTH)
    if crc32(encoded) != seal.meta_checksum:
        return None
    if not has_bytes(descriptor, seal.data_set_offset, seal.data_set_length, seal.checksum):
        return None
    return decode_meta(encoded)


def _cut_off(descriptor: int, seal: Seal) -> bool:
    """Whether the write that brought the seal did not come to its end.

    Such a write goes into a file that is longer than it, so a file that is too short is damaged.
    """
    if not seal.tail_length:
        return False
    behind = os.pread(descriptor, seal.tail_length, seal.data_set_offset + seal.data_set_length)
    generation = int(seal.instance_id[16:], 16)
    return len(behind) == seal.tail_length and not padding.is_whole(behind, generation)


def open_empty(root: Path, slot: str, size: int) -> int | None:
    """A slot's file, locked, when it holds no seal and has this size; None otherwise."""
    try:
        descriptor = os.open(root / file_of(slot), os.O_RDWR | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    status = os.fstat(descriptor)
    fits = stat.S_ISREG(status.st_mode) and status.st_size == size
    if fits and lock(descriptor) and is_unsealed(preamble_of(descriptor)):
        return descriptor
    os.close(descriptor)
    return None
