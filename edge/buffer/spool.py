"""The spool: one file for each instance, named by our own id, valid Part 10, sealed when it is complete.

Invariants:
- A file without a whole seal was never acknowledged; it may go.
- A sealed file whose content matches its seal is an instance in custody, row or no row.
- No name, path or size here comes from a peer.
- A slot is emptied only under a lock that no reader and no ingest process holds at that time.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, cast

from edge.buffer import slot_file
from edge.buffer.pace import Pace
from edge.buffer.seal import unpack
from edge.buffer.shelves import is_alive, remove_empty, shelf_names
from edge.buffer.slot_file import Content, DataSetFile
from edge.buffer.slots import SUFFIX, file_of, generation_of, is_slot_file, size_for, slot_of
from edge.durable import sync_directory
from edge.errors import SealBroken, SpoolError, SpoolFileMissing, SpoolFull
from edge.model import SealedInstance

DAMAGED = "damaged"
_BUFFER = 64 << 10
_COMPARED = 1 << 20


class Verdict(Enum):
    """What became of a slot that was looked at."""

    ADOPTED = auto()
    """A whole instance; it stays where it is."""
    UNFINISHED = auto()
    """Bytes of an object that was never acknowledged; they are gone."""
    EMPTY = auto()
    """Nothing, or what was released already; it is gone."""
    DAMAGED = auto()
    """Set aside for a person."""
    LEFT = auto()
    """Somebody alive holds it."""
    GONE = auto()
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A verdict, and the instance when there is one."""

    verdict: Verdict
    sealed: SealedInstance | None = None


class Spool:
    """All spool files of one node."""

    def __init__(self, root: Path) -> None:
        self._root, self._name = root, str(root)
        self.data_dir = root.parent
        """The node's directory, in which the spool lies."""
        self.meter: Pace | None = None
        """What paces whoever sends from here; None does not."""
        make_root(root)

    def path(self, instance_id: str) -> Path:
        """Where this instance lies, while it lies there.

        Raises:
            SpoolError: this is no instance id.
        """
        return self._root / file_of(slot_of(instance_id))

    @contextmanager
    def open_data_set(self, instance: SealedInstance) -> Iterator[BinaryIO]:
        """The data set: begins at its first byte and ends at its last. Its slot is not used again meanwhile.

        Raises:
            SpoolFileMissing: it is not there, or another instance is in its place.
        """
        raw = DataSetFile(self.open_file(instance), instance.data_set_offset, instance.data_set_length)
        with io.BufferedReader(raw, _BUFFER) as stream:
            yield cast("BinaryIO", stream)

    @contextmanager
    def open_slot(self, instance: SealedInstance) -> Iterator[int]:
        """The number of the open file in which the data set lies at its offset. The slot is not used again meanwhile.

        Raises:
            SpoolFileMissing: it is not there, or another instance is in its place.
        """
        descriptor = self.open_file(instance)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def verify(self, instance: SealedInstance) -> None:
        """Return only when the data set on disk is byte for byte what was sealed.

        Raises:
            SpoolFileMissing: it is not there.
            SealBroken: the disk gave back something else.
        """
        with self.open_slot(instance) as descriptor:
            whole = slot_file.has_bytes(
                descriptor, instance.data_set_offset, instance.data_set_length, instance.checksum
            )
        if not whole:
            raise SealBroken(f"spool file {instance.instance_id} does not match its seal")

    def same_bytes(self, one: SealedInstance, other: SealedInstance) -> bool:
        """Whether two instances are the same data set, byte for byte."""
        if (one.data_set_length, one.checksum) != (other.data_set_length, other.checksum):
            return False
        with self.open_data_set(one) as left, self.open_data_set(other) as right:
            while chunk := left.read(_COMPARED):
                if chunk != right.read(_COMPARED):
                    return False
        return True

    def contains(self, instance_id: str) -> bool:
        """Whether this very instance is in its slot."""
        return self.occupant(slot_of(instance_id)) == instance_id

    def occupant(self, slot: str) -> str | None:
        """The id of the instance that the slot's seal names; its content is not proven."""
        try:
            descriptor = os.open(self._root / file_of(slot), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            seal = unpack(slot_file.preamble_of(descriptor))
        finally:
            os.close(descriptor)
        return seal.instance_id if seal is not None and seal.instance_id.startswith(slot) else None

    def empty(self, instance_id: str, *, keep: bool) -> int | None:
        """Take a released instance out of its slot, and return when that would survive a power cut.

        Gives the size of the wiped slot, 0 when its file was removed instead, and None while somebody reads it.
        """
        slot = slot_of(instance_id)
        path = self._root / file_of(slot)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return 0
        try:
            if not slot_file.lock(descriptor):
                return None
            preamble = slot_file.preamble_of(descriptor)
            seal = unpack(preamble)
            if not slot_file.is_unsealed(preamble) and (seal is None or seal.instance_id != instance_id):
                return 0  # damaged, or another instance's by now: not ours to empty
            size = size_for(os.fstat(descriptor).st_size) if keep else None
            if size is not None and _wiped(descriptor, size):
                return size
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)
        return 0

    def settle(self, slot: str, *, above: int, owned: bool, keep_size: int | None) -> Settled:
        """Find out what a slot holds that the index knows no instance in, and put it in order.

        Only a seal younger than `above` is an instance; an older one was released. While its owner lives, `owned`, an
        instance is seen and anything else is left alone. An empty slot is wiped to `keep_size`, or removed when that
        is None. What is not whole is set aside in `damaged`, never deleted.
        """
        path = self._root / file_of(slot)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return Settled(Verdict.GONE)
        try:
            if not owned and not slot_file.lock(descriptor):
                return Settled(Verdict.LEFT)
            found = slot_file.look(descriptor, slot)
            if found.sealed is not None and generation_of(found.sealed.instance_id) > above:
                os.fdatasync(descriptor)  # its process may have died between the write and the sync
                return Settled(Verdict.ADOPTED, found.sealed)
            if owned:
                return Settled(Verdict.LEFT)
            if found.content is Content.DAMAGED:
                path.rename(self._root / DAMAGED / path.name)
                return Settled(Verdict.DAMAGED)
            blank = found.content is Content.SEALED or slot_file.is_blank(descriptor)
            if keep_size is None or not _wiped(descriptor, keep_size, blank=blank and found.sealed is None):
                path.unlink()
        finally:
            os.close(descriptor)
        return Settled(Verdict.EMPTY if blank else Verdict.UNFINISHED)

    def shelves(self) -> list[str]:
        """The names of all shelves."""
        return shelf_names(self._root)

    def is_alive(self, shelf: str) -> bool:
        """Whether the process that made the shelf still works with it."""
        return is_alive(self._root, shelf)

    def remove_empty(self, shelf: str) -> bool:
        """Whether a shelf held nothing and is gone."""
        return remove_empty(self._root, shelf)

    def slots_on(self, shelf: str) -> list[str]:
        """Every slot of a shelf."""
        with os.scandir(self._root / shelf) as entries:
            return sorted(entry.name.removesuffix(SUFFIX) for entry in entries if _is_slot(entry, shelf))

    def strangers(self, passed: Set[str] = frozenset()) -> list[Path]:
        """What lies between our files and is none of them, but for these shelves; it is left alone."""
        known = set(self.shelves())
        found = [Path(entry.path) for entry in os.scandir(self._root) if entry.name not in known | {DAMAGED}]
        for shelf in sorted(known - passed):
            with os.scandir(self._root / shelf) as entries:
                found += [Path(entry.path) for entry in entries if not _is_slot(entry, shelf)]
        return found

    def instance_ids(self) -> Iterator[str]:
        """The id of every instance that a seal in the spool names. Reads every file's first bytes."""
        for shelf in self.shelves():
            yield from filter(None, map(self.occupant, self.slots_on(shelf)))

    def damaged_count(self) -> int:
        """Files that were set aside because their content did not match their seal."""
        return sum(1 for _ in (self._root / DAMAGED).iterdir())

    def room(self) -> tuple[int, int]:
        """Bytes free for us and bytes in all, on the spool's disk."""
        return room(self._root)

    def open_file(self, instance: SealedInstance) -> int:
        """A descriptor of its file, for the caller to close; otherwise as `open_data_set`."""
        try:
            # Not `path`: to build one costs as much as to open the file.
            descriptor = os.open(f"{self._name}/{file_of(slot_of(instance.instance_id))}", os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise SpoolFileMissing from error
        except OSError as error:
            raise SpoolError(f"the spool's disk failed: {os.strerror(error.errno or 0)}") from error
        slot_file.lock(descriptor, shared=True)
        preamble = slot_file.preamble_of(descriptor)
        seal = unpack(preamble)
        other = slot_file.is_unsealed(preamble) if seal is None else seal.instance_id != instance.instance_id
        if other:
            os.close(descriptor)
            raise SpoolFileMissing
        return descriptor


def make_root(root: Path) -> None:
    """The folders of a spool."""
    for folder in (root, root / DAMAGED):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    sync_directory(root)
    sync_directory(root.parent)


def room(root: Path) -> tuple[int, int]:
    """Bytes free for us and bytes in all, on the spool's disk."""
    usage = shutil.disk_usage(root)
    return usage.free, usage.total


def _wiped(descriptor: int, size: int, *, blank: bool = False) -> bool:
    """Whether the slot is empty and has this size now; not when the disk has no room for that."""
    if blank and os.fstat(descriptor).st_size == size:
        return True
    try:
        slot_file.wipe(descriptor, size)
    except SpoolFull:
        return False
    return True


def _is_slot(entry: os.DirEntry[str], shelf: str) -> bool:
    return is_slot_file(entry.name, shelf) and entry.is_file(follow_symlinks=False)
