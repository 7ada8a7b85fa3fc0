"""The bytes of one instance, read from its spool file and proven against its seal."""

from __future__ import annotations

import os

from isal.isal_zlib import crc32

from edge.errors import SealBroken
from edge.model import SealedInstance


class Source:
    """Reads one instance's data set exactly as it came; nothing of the padding behind it."""

    def __init__(self, descriptor: int, sealed: SealedInstance) -> None:
        self._descriptor, self._sealed = descriptor, sealed
        self._checksum = 0
        self._offset = sealed.data_set_offset
        self.left = sealed.data_set_length

    def read(self, room: memoryview) -> int:
        """Fill the room with what comes next. What ends the data set is returned only when all of it is proven.

        Raises:
            SealBroken: the disk gave back something else than was sealed.
        """
        wanted = min(len(room), self.left)
        at = 0
        while at < wanted:
            offset = self._offset + self._sealed.data_set_length - self.left
            count = os.preadv(self._descriptor, [room[at:wanted]], offset)
            if not count:
                raise self._broken()
            at += count
            self.left -= count
        self._checksum = crc32(room[:wanted], self._checksum)
        if not self.left and self._checksum != self._sealed.checksum:
            raise self._broken()
        return wanted

    def look(self, at: int, size: int) -> bytes:
        """Bytes of the data set that are not proven yet, as many as there are."""
        return os.pread(self._descriptor, max(0, min(size, self._sealed.data_set_length - at)), self._offset + at)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _broken(self) -> SealBroken:
        return SealBroken(f"spool file {self._sealed.instance_id} does not match its seal")
