"""What tests of decompressing share: compressed objects to a peer, and objects that were meddled with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from pydicom.data import get_testdata_file

from edge.buffer.store import Buffer
from edge.forward.cstore import CStoreForwarder
from edge.forward.splice import Readable
from edge.model import ClaimedDelivery, DicomDestination
from edge.steps import Transform
from provisioning.local.dataset import Part10, read_part10
from tests.sending import Sent, deliver

PIXELS = [struct.pack("<HH2sHI", 0x7FE0, 0x0010, vr, 0, 0xFFFFFFFF) for vr in (b"OB", b"OW")]
"""How an element of compressed pixels begins."""


class Held:
    """A data set in memory, as the spool would give it."""

    def __init__(self, content: bytes) -> None:
        self._content, self.left = content, len(content)

    def read(self, room: memoryview) -> int:
        """See `Readable.read`."""
        count, at = min(len(room), self.left), len(self._content) - self.left
        room[:count] = self._content[at : at + count]
        self.left -= count
        return count

    def look(self, at: int, size: int) -> bytes:
        """See `Readable.look`."""
        return self._content[at : at + size]

    def close(self) -> None:
        """Nothing is open."""


def sample(name: str) -> Part10:
    """One of the files that come with pydicom."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return read_part10(Path(path))


def read_all(readable: Readable) -> bytes:
    """All of it, and close it."""
    room = bytearray(readable.left)
    at = 0
    while readable.left:
        at += readable.read(memoryview(room)[at:])
    readable.close()
    return bytes(room)


def to_peer(
    buffer: Buffer, port: int, wanted: Sequence[ClaimedDelivery], transforms: tuple[Transform, ...] = ()
) -> Sent:
    """Send to a peer that may get it decompressed."""
    peer = DicomDestination(
        name="d", host="127.0.0.1", port=port, ae_title="PACS", decompress=True, transforms=transforms
    )
    forwarder = CStoreForwarder(peer, buffer.spool, idle_seconds=10.0)
    try:
        return deliver(forwarder, wanted)
    finally:
        forwarder.close()


def with_value(data_set: bytes, tag: int, vr: str, value: bytes) -> bytes:
    """The data set with another value of the same length in an element of its own level."""
    head = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value))
    assert data_set.count(head) == 1, "the element is not there once, in this length"
    at = data_set.index(head) + len(head)
    return data_set[:at] + value + data_set[at + len(value) :]
