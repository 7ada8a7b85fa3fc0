"""An instance as the clean Part 10 file that leaves the node: our seal and our padding stay at home."""

from __future__ import annotations

from collections.abc import Iterator

from edge.buffer.part10 import FileMeta, encode_meta
from edge.buffer.seal import PREAMBLE_LENGTH
from edge.forward.rendition import Rendition
from edge.model import AssociationFacts

_CHUNK = 1 << 18


def head_of(rendition: Rendition, facts: AssociationFacts) -> bytes:
    """What stands before the data set: an empty preamble and the file meta information."""
    meta = FileMeta(
        sop_class_uid=rendition.sop_class_uid,
        sop_instance_uid=rendition.sop_instance_uid,
        transfer_syntax_uid=rendition.transfer_syntax_uid,
        facts=facts,
    )
    return bytes(PREAMBLE_LENGTH) + encode_meta(meta)


def pieces_of(head: bytes, rendition: Rendition) -> Iterator[bytes]:
    """The whole file in pieces.

    Raises:
        SealBroken: the disk gave back something else than was sealed; the last piece was not given.
    """
    yield head
    room = memoryview(bytearray(min(_CHUNK, max(rendition.left, 1))))
    while rendition.left:
        yield bytes(room[: rendition.readinto(room)])
