"""The spool: one file for each instance, named by our own id, valid Part 10, sealed when it is complete.

Invariants:
- A file without a whole seal was never acknowledged; it may go.
- A sealed file whose content matches its seal is an instance in custody, row or no row.
- `Reception.seal` returns only when the file and its directory entry would survive a power cut.
- No name, path or size here comes from a peer.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from edge.buffer import part10, seal
from edge.durable import sync_directory
from edge.errors import SealBroken, SpoolError, SpoolFileMissing, SpoolFull
from edge.model import SealedInstance

SUFFIX = ".dcm"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_CHUNK = 1 << 20


def new_instance_id() -> str:
    """32 hex digits of a UUIDv7 (RFC 9562): sorts by time, never repeats, says nothing of the patient."""
    value = ((time.time_ns() // 1_000_000) << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return f"{value:032x}"


class Reception:
    """One instance that is coming in. Exactly one of `seal` and `discard` ends it."""

    def __init__(self, path: Path, instance_id: str, meta: part10.FileMeta) -> None:
        self._path, self._instance_id, self._meta = path, instance_id, meta
        self._received_at = datetime.now(UTC)
        self._checksum = 0
        self._length = 0
        encoded = part10.encode_meta(meta)
        self._offset = seal.PREAMBLE_LENGTH + len(encoded)
        self._meta_checksum = zlib.crc32(encoded)
        with _naming_full_disks():
            self._file = path.open("xb", buffering=0)
            try:
                self._write_all(b"\0" * seal.PREAMBLE_LENGTH + encoded)
            except BaseException:
                self.discard()
                raise

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes of the data set exactly as they came off the wire.

        Raises:
            SpoolFull: the disk has no room; the caller discards and answers 0xA700.
        """
        with _naming_full_disks():
            self._write_all(data)
        self._checksum = zlib.crc32(data, self._checksum)
        self._length += len(data)

    def seal(self) -> SealedInstance:
        """Return only when the instance would survive a power cut. Does not route it.

        Raises:
            SpoolFull: the disk has no room; nothing was taken into custody.
        """
        whole = seal.Seal(
            data_set_offset=self._offset,
            data_set_length=self._length,
            received_at=self._received_at,
            checksum=self._checksum,
            meta_checksum=self._meta_checksum,
        )
        try:
            with _naming_full_disks():
                os.pwrite(self._file.fileno(), seal.pack(whole), 0)
                os.fdatasync(self._file.fileno())
                sync_directory(self._path.parent)
        except BaseException:
            self.discard()
            raise
        self._file.close()
        return _sealed(self._instance_id, whole, self._meta)

    def discard(self) -> None:
        """Forget what came in so far. Nothing of it was acknowledged."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _write_all(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]


class Spool:
    """All spool files of one node."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._damaged = root / "damaged"
        for folder in (root, self._damaged, *(root / f"{n:02x}" for n in range(256))):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_directory(root)
        sync_directory(root.parent)

    def begin(self, meta: part10.FileMeta) -> Reception:
        """Start taking an instance in.

        Raises:
            SpoolFull: the disk has no room for another file.
        """
        instance_id = new_instance_id()
        return Reception(self.path(instance_id), instance_id, meta)

    def path(self, instance_id: str) -> Path:
        """Where this instance's file is; the last two digits choose one of 256 folders."""
        if len(instance_id) != 32 or not set(instance_id) <= set("0123456789abcdef"):
            raise SpoolError(f"not an instance id: {instance_id!r}")
        return self._root / instance_id[-2:] / f"{instance_id}{SUFFIX}"

    @contextmanager
    def open_data_set(self, instance: SealedInstance) -> Iterator[BinaryIO]:
        """The file, positioned at the first byte of the data set.

        Raises:
            SpoolFileMissing: there is no such file.
        """
        try:
            stream = self.path(instance.instance_id).open("rb")
        except FileNotFoundError as error:
            raise SpoolFileMissing from error
        with stream:
            stream.seek(instance.data_set_offset)
            yield stream

    def verify(self, instance: SealedInstance) -> None:
        """Return only when the data set on disk is byte for byte what was sealed.

        Raises:
            SpoolFileMissing: there is no such file.
            SealBroken: the disk gave back something else.
        """
        with self.open_data_set(instance) as stream:
            if not _matches(stream, instance.data_set_length, instance.checksum):
                raise SealBroken(f"spool file {instance.instance_id} does not match its seal")

    def release(self, instance_id: str) -> None:
        """Give the instance's room back. Only retention calls this, after proof of delivery."""
        self.path(instance_id).unlink(missing_ok=True)

    def contains(self, instance_id: str) -> bool:
        """Whether a file of this name is in the spool."""
        return self.path(instance_id).exists()

    def instance_ids(self) -> Iterator[str]:
        """Every file's id, sealed or not, oldest first within a folder."""
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(entry.stem for entry in folder.iterdir() if self._is_ours(entry))

    def strangers(self) -> list[Path]:
        """What lies between our files and is none of them; it is left alone."""
        folders = self._root.glob("[0-9a-f][0-9a-f]")
        return [entry for folder in folders for entry in folder.iterdir() if not self._is_ours(entry)]

    def _is_ours(self, entry: Path) -> bool:
        try:
            return entry == self.path(entry.stem) and stat.S_ISREG(entry.lstat().st_mode)
        except (SpoolError, OSError):
            return False

    def adopt(self, instance_id: str) -> SealedInstance | None:
        """The instance in a file that has no row, proven against its seal; None when it was never acknowledged.

        A file that was never sealed is removed: its sender got no success. Anything else that is not whole, also a
        seal of a format that this release does not know, is set aside in `damaged`, never deleted.

        Raises:
            SealBroken: the file was set aside; a person should look at the disk.
        """
        path = self.path(instance_id)
        with path.open("rb") as stream:
            preamble = stream.read(seal.PREAMBLE_LENGTH)
            if len(preamble) < seal.PREAMBLE_LENGTH or not any(preamble):
                path.unlink()
                return None
            whole = seal.unpack(preamble)
            meta = self._proven(stream, whole) if whole else None
            if whole is None or meta is None:
                path.rename(self._damaged / path.name)
                raise SealBroken(f"spool file {instance_id} does not match its seal; set aside")
        return _sealed(instance_id, whole, meta)

    @staticmethod
    def _proven(stream: BinaryIO, whole: seal.Seal) -> part10.FileMeta | None:
        encoded = stream.read(whole.data_set_offset - seal.PREAMBLE_LENGTH)
        intact = zlib.crc32(encoded) == whole.meta_checksum
        return (
            part10.decode_meta(encoded) if intact and _matches(stream, whole.data_set_length, whole.checksum) else None
        )

    def damaged_count(self) -> int:
        """Files that were set aside because their content did not match their seal."""
        return sum(1 for _ in self._damaged.iterdir())

    def room(self) -> tuple[int, int]:
        """Bytes free for us and bytes in all, on the spool's disk."""
        usage = shutil.disk_usage(self._root)
        return usage.free, usage.total


def _sealed(instance_id: str, whole: seal.Seal, meta: part10.FileMeta) -> SealedInstance:
    return SealedInstance(
        instance_id=instance_id,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        facts=meta.facts,
        received_at=whole.received_at,
        data_set_offset=whole.data_set_offset,
        data_set_length=whole.data_set_length,
        checksum=whole.checksum,
    )


def _matches(stream: BinaryIO, length: int, checksum: int) -> bool:
    """Whether exactly `length` bytes follow and have this CRC-32."""
    seen, total = 0, 0
    while chunk := stream.read(_CHUNK):
        seen = zlib.crc32(chunk, seen)
        total += len(chunk)
    return total == length and seen == checksum


@contextmanager
def _naming_full_disks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise SpoolFull from error
        raise SpoolError(f"the spool's disk failed: {os.strerror(error.errno or 0)}") from error
