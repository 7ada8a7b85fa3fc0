"""What leaves for one destination: the data set as it came, or what its transforms make of it.

This is the only place where a forwarder gets an instance's bytes from. Every kind of destination does

    with open_rendition(spool, delivery, destination.transforms) as rendition:
        ...  # rendition.sop_instance_uid and the other UIDs are those to send; rendition.length is known at once
        shutil.copyfileobj(rendition, out)  # or rendition.readinto(buffer)

and settles what it raises with `unreadable`: a transform that fails quarantines the delivery, and the original is
never sent instead. What a person fixed in the object comes before the transforms of the destination.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

from isal.isal_zlib import crc32

from edge.buffer.pace import Pace
from edge.buffer.spool import Spool
from edge.data_dir import PSEUDONYM_KEY
from edge.errors import EdgeError, SealBroken, SpoolError, SpoolFileMissing
from edge.forward.base import Outcome, Refused, TryLater, Unfit
from edge.forward.decoding.failure import CannotDecode, DecodeLater, NoRoom
from edge.forward.source import Source
from edge.forward.splice import Readable, Splice, SpoolOrigin, deflated, inflated
from edge.model import ClaimedDelivery, Priority
from edge.steps import Transform
from edge.transfer_syntaxes import DECODABLE, DEFLATED, PLAIN_IMPLICIT
from edge.transform.apply import apply, coding_of
from edge.transform.failure import Impossible, TransformFailed

_CHUNK = 1 << 20
DECODING_TRIES = 5
"""What the kernel ends again and again for want of memory is for a person, too."""


class Rendition(io.RawIOBase):
    """A data set to be read once from its beginning. What ends it is given only when the whole original is proven."""

    def __init__(self, source: Readable, delivery: ClaimedDelivery, meter: Pace | None = None) -> None:
        super().__init__()
        self._source, self._meter = source, meter
        self._urgent = delivery.priority is Priority.STAT
        sealed = delivery.sealed
        self.sop_class_uid, self.transfer_syntax_uid = sealed.sop_class_uid, sealed.transfer_syntax_uid
        self.sop_instance_uid = sealed.sop_instance_uid
        self.study_instance_uid = delivery.study_instance_uid
        self.series_instance_uid = delivery.series_instance_uid
        self._own = (self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)
        self.length = source.left
        """Bytes of all of it."""

    @property
    def sent_as(self) -> tuple[str, str, str] | None:
        """Its study, series and SOP instance UID as it leaves, when they are others than those it came under."""
        uids = (self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)
        return None if uids == self._own else uids

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return self._source.left

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer with what comes next; fewer bytes at the end only.

        Raises:
            SealBroken: the disk gave back something else than was sealed.
        """
        count = self._source.read(memoryview(buffer))
        if self._meter is not None:
            self._meter.take(count, urgent=self._urgent)
        return count

    def prove(self) -> int:
        """Read to the end; the CRC-32 of all that a reader gets.

        Raises:
            SealBroken: the disk gave back something else than was sealed.
        """
        room, checksum = memoryview(bytearray(min(_CHUNK, max(self.left, 1)))), 0
        while self.left:
            checksum = crc32(room[: self._source.read(room)], checksum)  # to nobody, so at no pace
        return checksum

    def close(self) -> None:
        """Give the file back."""
        if not self.closed:
            self._source.close()
        super().close()


def open_rendition(
    spool: Spool, delivery: ClaimedDelivery, transforms: Sequence[Transform] = (), *, form: str = ""
) -> Rendition:
    """The instance as it goes to a destination with these transforms; a context manager.

    `form` is one of the `other_forms` of what it is stored in; without one it stays what it is.

    Raises:
        SpoolError: its file is not there or cannot be read.
        TransformFailed: a transform cannot be carried out, and nothing may be sent.
        OSError: the disk failed.
    """
    original: Readable = Source(spool.open_file(delivery.sealed), delivery.sealed)
    transforms = (*delivery.fix, *transforms)
    syntax = form or delivery.sealed.transfer_syntax_uid
    if form:
        original = _in_form(original, delivery, spool, form)
    if not transforms:
        return _in_syntax(Rendition(original, delivery, spool.meter), syntax)
    try:
        is_deflated = syntax in DEFLATED
        if is_deflated:
            original = inflated(original, spool.data_dir)
        result = apply(SpoolOrigin(original), coding_of(syntax), transforms, lambda: _key(spool))
        spliced: Readable = Splice(original, result.pieces)
        if is_deflated:
            spliced = deflated(spliced, spool.data_dir)
    except BaseException as error:
        original.close()
        if isinstance(error, Impossible):
            raise TransformFailed(f"transform `{transforms[0].name}`: {error}") from None
        raise
    rendition = _in_syntax(Rendition(spliced, delivery, spool.meter), syntax)
    if result.sop_instance_uid is not None:
        rendition.sop_instance_uid = result.sop_instance_uid
    if result.study_instance_uid is not None:
        rendition.study_instance_uid = result.study_instance_uid
    if result.series_instance_uid is not None:
        rendition.series_instance_uid = result.series_instance_uid
    return rendition


def _in_form(original: Readable, delivery: ClaimedDelivery, spool: Spool, form: str) -> Readable:
    from edge.forward.native import in_implicit, native  # for the few objects that a peer wants otherwise

    try:
        if delivery.sealed.transfer_syntax_uid in DECODABLE:
            original = native(original, delivery.sealed.transfer_syntax_uid, spool.data_dir)
        return in_implicit(original, spool.data_dir) if form == PLAIN_IMPLICIT else original
    except BaseException as error:
        original.close()
        if isinstance(error, Impossible):
            raise TransformFailed(f"`syntax: decompress`: {error}") from None
        endless = isinstance(error, NoRoom) or delivery.attempts < DECODING_TRIES
        if isinstance(error, DecodeLater) and not endless:
            raise CannotDecode(f"{error}, {delivery.attempts} times") from None
        raise


def _in_syntax(rendition: Rendition, transfer_syntax_uid: str) -> Rendition:
    rendition.transfer_syntax_uid = transfer_syntax_uid
    return rendition


def _key(spool: Spool) -> bytes:
    try:
        return (spool.data_dir / PSEUDONYM_KEY).read_bytes()
    except FileNotFoundError:
        raise Impossible("the site's pseudonym key is not there, so nothing can be hashed") from None


def unreadable(error: EdgeError | OSError) -> Outcome:
    """What becomes of a delivery without a rendition: what is broken is for a person, a disk may recover."""
    if isinstance(error, TransformFailed | SealBroken | SpoolFileMissing):
        return Unfit(reason=str(error))
    if isinstance(error, CannotDecode):
        return Refused(reason=f"`syntax: decompress`: {error}")
    if isinstance(error, DecodeLater):
        return TryLater(reason=f"`syntax: decompress`: {error}")
    words = error if isinstance(error, SpoolError) else os.strerror(getattr(error, "errno", 0) or 0)
    return TryLater(reason=f"its spool file cannot be read: {words}")
