"""One instance made ready to be sent by C-STORE: its first bytes, read from its rendition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.buffer.spool import Spool
from edge.errors import EdgeError
from edge.forward.base import Outcome
from edge.forward.rendition import Rendition, open_rendition, unreadable
from edge.model import ClaimedDelivery
from edge.steps import Transform


@dataclass(frozen=True, slots=True)
class Parcel:
    """An instance whose first bytes are in the buffer: all of them, or those of a large one, whose file stays open."""

    delivery: ClaimedDelivery
    context_id: int
    sop_instance_uid: str
    """As the destination gets it."""
    length: int
    """Bytes in the buffer."""
    rest: Rendition | None
    form: str = ""
    """The transfer syntax that it goes in, when that is another than it is stored in."""

    sent_as: tuple[str, str, str] | None = None
    """Its study, series and SOP instance UID there, when they are others than here."""

    def close(self) -> None:
        """It is not sent any further."""
        if self.rest is not None:
            self.rest.close()


def pack(
    spool: Spool,
    delivery: ClaimedDelivery,
    context_id: int,
    buffer: memoryview,
    transforms: Sequence[Transform] = (),
    *,
    form: str = "",
) -> Parcel | Outcome:
    """Make an instance ready; an outcome when its file is not what was sealed, or a transform fails."""
    rendition = None
    try:
        rendition = open_rendition(spool, delivery, transforms, form=form)
        length = rendition.readinto(buffer)
    except (EdgeError, OSError) as error:
        if rendition is not None:
            rendition.close()
        return unreadable(error)
    uid = rendition.sop_instance_uid
    if rendition.left:
        return Parcel(delivery, context_id, uid, length, rendition, form, rendition.sent_as)
    rendition.close()
    return Parcel(delivery, context_id, uid, length, None, form, rendition.sent_as)
