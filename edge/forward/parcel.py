"""One instance made ready to be sent: read from its spool file, and proven against its seal."""

from __future__ import annotations

import os
from dataclasses import dataclass

from isal.isal_zlib import crc32

from edge.buffer.spool import Spool
from edge.errors import SealBroken, SpoolError, SpoolFileMissing
from edge.forward.base import Outcome, Refused, TryLater
from edge.model import ClaimedDelivery, SealedInstance


class Source:
    """Reads one instance's data set exactly as it came; nothing of the padding behind it."""

    def __init__(self, descriptor: int, sealed: SealedInstance) -> None:
        self._descriptor, self._sealed = descriptor, sealed
        self._checksum = 0
        self.left = sealed.data_set_length

    def read(self, room: memoryview) -> int:
        """Fill the room with what comes next. What ends the data set is returned only when all of it is proven.

        Raises:
            SealBroken: the disk gave back something else than was sealed.
        """
        wanted = min(len(room), self.left)
        at = 0
        while at < wanted:
            offset = self._sealed.data_set_offset + self._sealed.data_set_length - self.left
            count = os.preadv(self._descriptor, [room[at:wanted]], offset)
            if not count:
                raise self._broken()
            at += count
            self.left -= count
        self._checksum = crc32(room[:wanted], self._checksum)
        if not self.left and self._checksum != self._sealed.checksum:
            raise self._broken()
        return wanted

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _broken(self) -> SealBroken:
        return SealBroken(f"spool file {self._sealed.instance_id} does not match its seal")


@dataclass(frozen=True, slots=True)
class Parcel:
    """An instance whose first bytes are in the buffer: all of them, or those of a large one, whose file stays open."""

    delivery: ClaimedDelivery
    context_id: int
    length: int
    """Bytes in the buffer."""
    rest: Source | None

    def close(self) -> None:
        """It is not sent any further."""
        if self.rest is not None:
            self.rest.close()


def pack(spool: Spool, delivery: ClaimedDelivery, context_id: int, buffer: memoryview) -> Parcel | Outcome:
    """Make an instance ready; an outcome when its file is not what was sealed."""
    source = None
    try:
        source = Source(spool.open_file(delivery.sealed), delivery.sealed)
        length = source.read(buffer)
    except (SpoolError, OSError) as error:
        if source is not None:
            source.close()
        return unreadable(error)
    if source.left:
        return Parcel(delivery, context_id, length, source)
    source.close()
    return Parcel(delivery, context_id, length, None)


def unreadable(error: SpoolError | OSError) -> Outcome:
    """What becomes of a delivery whose file cannot be read: what is broken is for a person, a disk may recover."""
    if isinstance(error, SealBroken | SpoolFileMissing):
        return Refused(reason=str(error))
    words = error if isinstance(error, SpoolError) else error.strerror
    return TryLater(reason=f"its spool file cannot be read: {words}")
