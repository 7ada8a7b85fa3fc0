"""One instance that is coming in: bytes as they came, then the seal, then success.

What comes whole goes into a used slot with one write that returns when it is durable. What comes in pieces is written
as it comes, and its seal last.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from isal.isal_zlib import crc32

from edge.buffer import seal as seals
from edge.buffer import writeback
from edge.buffer.padding import TAIL_ROOM, can_pad, tail
from edge.buffer.part10 import FileMeta, encode_meta
from edge.buffer.shelves import Shelf
from edge.buffer.slots import next_generation
from edge.errors import SpoolError, SpoolFull
from edge.model import SealedInstance

Piece = bytes | memoryview
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_PIECES_AT_ONCE = 1024  # IOV_MAX of Linux
_ZEROS = bytes(1 << 20)


class ReadySlot:
    """A file that waits for an instance: open, empty, and nobody else's."""

    __slots__ = ("descriptor", "generation", "name", "shelf", "size")

    def __init__(self, *, name: str, descriptor: int, size: int, generation: int, shelf: Shelf | None) -> None:
        self.name, self.descriptor, self.size, self.generation = name, descriptor, size, generation
        self.shelf = shelf
        """Where a file was made for this instance; None for one that was used before."""


class SlotSource(Protocol):
    """Where a reception gets its file, and where an unused one goes back to."""

    def take(self, size: int) -> ReadySlot:
        """A file for so many bytes."""

    def give_back(self, slot: ReadySlot) -> None:
        """It is wiped and can be used at once."""


class Reception:
    """Exactly one of `seal` and `discard` ends it. One thread at a time."""

    __slots__ = ("_begun", "_checksum", "_end", "_expected", "_head", "_meta", "_slot", "_source", "_started")

    def __init__(self, source: SlotSource, meta: FileMeta, expected_bytes: int) -> None:
        self._source, self._meta, self._expected = source, meta, expected_bytes
        self._head = encode_meta(meta)
        self._slot: ReadySlot | None = None
        self._started = time.time_ns() // 1000
        self._checksum = 0
        self._begun = 0
        """Bytes of the file that the disk was told to begin on."""
        self._end = seals.PREAMBLE_LENGTH + len(self._head)

    @property
    def length(self) -> int:
        """Bytes of the data set that were written so far."""
        return self._end - seals.PREAMBLE_LENGTH - len(self._head)

    def fingerprint(self, last: Sequence[Piece] = ()) -> tuple[int, int]:
        """Length and checksum that the data set would have with these last pieces. Writes nothing."""
        checksum, length = self._checksum, self.length
        for piece in last:
            checksum = crc32(piece, checksum)
            length += len(piece)
        return length, checksum

    def write(self, pieces: Sequence[Piece]) -> None:
        """Append bytes of the data set exactly as they came off the wire.

        Raises:
            SpoolFull: the disk has no room; the caller discards and answers 0xA700.
        """
        with _naming_full_disks():
            self._append(pieces)

    def seal(self, last: Sequence[Piece] = ()) -> SealedInstance:
        """Return only when the instance, with these last pieces of it, would survive a power cut. Does not route it.

        Raises:
            SpoolFull: the disk has no room; nothing was taken into custody.
        """
        try:
            with _naming_full_disks():
                if self._slot is not None:
                    return self._seal_streamed(last)
                return self._seal_whole(last)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Forget what came in so far. Nothing of it was acknowledged."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        try:
            if slot.shelf is not None:
                slot.shelf.remove(slot.name)
            else:
                _blank(slot, self._end)
                self._source.give_back(slot)
                return
        except OSError:
            pass  # what is left has no seal, or one that nobody was told of: the next start settles it
        os.close(slot.descriptor)

    def _seal_whole(self, last: Sequence[Piece]) -> SealedInstance:
        length, checksum = 0, 0
        for piece in last:
            checksum = crc32(piece, checksum)
            length += len(piece)
        end = self._end + length
        padded = can_pad(self._meta.transfer_syntax_uid)
        slot = self._slot = self._source.take(end + TAIL_ROOM)
        room = slot.size - end
        if slot.shelf is not None or room < TAIL_ROOM or not padded:
            self._append(last)
            # A new file's length reaches the disk after its bytes, so a seal in it speaks of nothing that is not there.
            return self._finish(in_two_steps=slot.shelf is None)
        generation = slot.generation = next_generation(slot.generation)
        behind = tail(self._meta.transfer_syntax_uid, room, generation)
        preamble = self._preamble(slot, length, checksum, len(behind))
        self._end = end + len(behind)
        write_whole(slot.descriptor, [preamble, self._head, *last, behind], 0, durable=True)
        return self._sealed(slot, length, checksum)

    def _seal_streamed(self, last: Sequence[Piece]) -> SealedInstance:
        self._append(last)
        return self._finish(in_two_steps=True)

    def _finish(self, *, in_two_steps: bool) -> SealedInstance:
        """Put the seal last: who reads it may believe that what it speaks of was written before."""
        slot = self._slot
        assert slot is not None
        end, length = self._end, self.length
        if slot.size > end:
            self._close_slot(slot, end)
        if in_two_steps:
            os.fdatasync(slot.descriptor)
        slot.generation = next_generation(slot.generation)
        preamble = self._preamble(slot, length, self._checksum, 0)
        write_whole(slot.descriptor, [preamble], 0, durable=in_two_steps)
        if not in_two_steps:
            os.fdatasync(slot.descriptor)
        if slot.shelf is not None:
            slot.shelf.sync()
        return self._sealed(slot, length, self._checksum)

    def _close_slot(self, slot: ReadySlot, end: int) -> None:
        """Nothing but padding follows the data set, or nothing at all."""
        syntax = self._meta.transfer_syntax_uid
        if slot.shelf is None and slot.size - end >= TAIL_ROOM and can_pad(syntax):
            write_whole(slot.descriptor, [tail(syntax, slot.size - end, 0)], end)
        else:
            os.ftruncate(slot.descriptor, end)

    def _append(self, pieces: Sequence[Piece]) -> None:
        length = 0
        for piece in pieces:
            self._checksum = crc32(piece, self._checksum)
            length += len(piece)
        slot = self._slot
        if slot is None:
            slot = self._slot = self._source.take(max(self._expected + len(self._head), self._end + length) + TAIL_ROOM)
        first = self._end == seals.PREAMBLE_LENGTH + len(self._head)
        at = 0 if first else self._end
        self._end += length
        write_whole(slot.descriptor, [seals.UNSEALED, self._head, *pieces] if first else pieces, at)
        if self._end - self._begun >= writeback.STEP:
            writeback.begin(slot.descriptor, self._begun, self._end - self._begun)
            self._begun = self._end

    def _preamble(self, slot: ReadySlot, length: int, checksum: int, tail_length: int) -> bytes:
        return seals.pack_fields(
            tail_length=tail_length,
            offset=seals.PREAMBLE_LENGTH + len(self._head),
            length=length,
            received_at=self._started,
            slot=int(slot.name, 16),
            generation=slot.generation,
            checksum=checksum,
            meta_checksum=crc32(self._head),
        )

    def _sealed(self, slot: ReadySlot, length: int, checksum: int) -> SealedInstance:
        self._slot = None
        os.close(slot.descriptor)
        meta = self._meta
        return SealedInstance(
            instance_id=f"{slot.name}{slot.generation:016x}",
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            facts=meta.facts,
            received_at=seals.from_microseconds(self._started),
            data_set_offset=seals.PREAMBLE_LENGTH + len(self._head),
            data_set_length=length,
            checksum=checksum,
        )


def write_whole(descriptor: int, pieces: Sequence[Piece], at: int, *, durable: bool = False) -> None:
    """Write all of these pieces from `at` on; with `durable`, return when they would survive a power cut."""
    flags = os.RWF_DSYNC if durable else 0
    for start in range(0, len(pieces), _PIECES_AT_ONCE):
        group = pieces[start : start + _PIECES_AT_ONCE]
        wanted = sum(map(len, group))
        written = os.pwritev(descriptor, group, at, flags)
        if written < wanted:
            rest = memoryview(b"".join(group))[written:]
            while rest:
                rest = rest[os.pwritev(descriptor, [rest], at + wanted - len(rest), flags) :]
        at += wanted


def _blank(slot: ReadySlot, end: int) -> None:
    """Nothing of an object that was given up lingers in its slot, nor what lies behind the slot's size."""
    for start in range(0, end, len(_ZEROS)):
        write_whole(slot.descriptor, [memoryview(_ZEROS)[: end - start]], start)
    os.ftruncate(slot.descriptor, slot.size)
    os.fdatasync(slot.descriptor)


@contextmanager
def _naming_full_disks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise SpoolFull from error
        raise SpoolError(f"the spool's disk failed: {os.strerror(error.errno or 0)}") from error
