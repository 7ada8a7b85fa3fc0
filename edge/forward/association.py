"""One association that we opened: instances out, answers in, and its end. Used by one thread, but for `cut`."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence

from pydicom.uid import UID

from edge.buffer.spool import Spool
from edge.errors import EdgeError
from edge.forward.base import Outcome, Refused
from edge.forward.ends import Ended, Garbage, PeerAborted, PeerReleased, Rotten
from edge.forward.line import Line
from edge.forward.parcel import Parcel, pack
from edge.forward.rendition import Rendition, unreadable
from edge.forward.wrapping import Wrapping
from edge.model import ClaimedDelivery
from edge.steps import Transform
from edge.transfer_syntaxes import other_forms
from edge.upper_layer import command, pdu
from edge.upper_layer.requesting import Granted, Offer

RELEASE_SECONDS = 2.0
"""How long a peer may take to answer a release; then the connection is closed all the same."""


class Association:
    """Every method that touches the peer may raise `Ended`; what was sent and not answered is in `outstanding`."""

    def __init__(
        self,
        line: Line,
        granted: Granted,
        offered: frozenset[Offer],
        spool: Spool,
        transforms: Sequence[Transform] = (),
        *,
        decompress: bool = False,
    ) -> None:
        self._decompress = decompress
        self._line, self._contexts, self._spool, self._transforms = line, granted.contexts, spool, transforms
        self._wrapping = Wrapping(granted.maximum_length)
        self._ids = frozenset(granted.contexts.values())
        self.offered = offered
        """What was proposed on it, accepted or not."""
        self._message_id = 0
        self._half = bytearray()
        self._answers: deque[command.Answer] = deque()
        self.window = granted.operations
        """Instances that may be outstanding: more than one only by the peer's leave (PS3.7 Annex D.3.3.3)."""
        self.outstanding: dict[int, ClaimedDelivery] = {}
        self._forms: dict[int, str] = {}
        self._sent_as: dict[int, tuple[str, str, str]] = {}
        self.opened_at = self.used_at = time.monotonic()
        self.answered = 0
        """Answers since it was opened, or taken up again."""
        self.is_used_again = False

    def prepare(self, delivery: ClaimedDelivery) -> Parcel | Outcome:
        """Read and prove what fits into the buffer; an outcome when there is nothing to send.

        The buffer holds one parcel: prepare the next one after this one was sent.
        """
        offer = offer_of(delivery)
        context_id, form = self._contexts.get(offer), ""
        for other in other_forms(offer[1]) if context_id is None and self._decompress else ():
            context_id, form = self._contexts.get((offer[0], other)), other
            if context_id is not None:
                break
        if context_id is None:
            sop_class, syntax = (UID(part).name for part in offer)
            return Refused(reason=f"it does not accept {sop_class} in {syntax}")
        return pack(self._spool, delivery, context_id, self._wrapping.buffer, self._transforms, form=form)

    def has_room_for(self, parcel: Parcel) -> bool:
        """Whether it may be sent now. What failed before, and what is large, travels alone."""
        if not self.outstanding or self.window == 1:
            return not self.outstanding
        alone = parcel.rest is not None or parcel.delivery.attempts > 1 or self._last.attempts > 1
        return not alone and len(self.outstanding) < self.window

    def send(self, parcel: Parcel) -> None:
        """Send an instance. One that was never begun, because the association had ended, is not in `outstanding`."""
        if not self.outstanding and self._line.peek():
            self._read(wait=True)
            raise Garbage  # an answer that nobody asked for
        self._message_id = self._message_id % 65535 + 1
        first = self._wrapping.wrap_command(
            parcel.context_id,
            request := command.store_request(
                message_id=self._message_id,
                sop_class_uid=parcel.delivery.sealed.sop_class_uid,
                sop_instance_uid=parcel.sop_instance_uid,
            ),
        )
        self.outstanding[self._message_id] = self._last = parcel.delivery
        if parcel.form:
            self._forms[parcel.delivery.delivery_id] = parcel.form
        if parcel.sent_as:
            self._sent_as[parcel.delivery.delivery_id] = parcel.sent_as
        pieces = first + self._wrapping.wrap(parcel.context_id, parcel.length, last=parcel.rest is None)
        self._line.send(pieces, self._wrapping.size(len(request)) + self._wrapping.size(parcel.length))
        if parcel.rest is not None:
            self._send_rest(parcel, parcel.rest)

    def collect(self, *, wait: bool) -> list[tuple[ClaimedDelivery, int]]:
        """The deliveries that were answered since, with their statuses; with `wait`, at least one."""
        while len(self._answers) < len(self.outstanding) and self._read(wait=wait and not self._answers):
            pass
        found: list[tuple[ClaimedDelivery, int]] = []
        while self._answers:
            answer = self._answers.popleft()
            delivery = self.outstanding.pop(answer.message_id, None)
            if delivery is None:
                raise Garbage
            self.answered += 1
            found.append((delivery, answer.status))
        return found

    def note_of(self, delivery: ClaimedDelivery) -> str:
        """What a trace should say of an instance that was sent and answered; empty when it went as it is stored."""
        form = self._forms.pop(delivery.delivery_id, "")
        return form and f"as {UID(form).name}, because it does not accept {UID(offer_of(delivery)[1]).name}"

    def sent_as(self, delivery: ClaimedDelivery) -> tuple[str, str, str] | None:
        """The UIDs under which an instance went that was sent and answered, when they are others than here."""
        return self._sent_as.pop(delivery.delivery_id, None)

    def is_over(self) -> bool:
        """Whether the peer has ended it while it lay idle; it has its answer then, and the line is closed."""
        if not self._line.peek():
            return False
        try:
            self._read(wait=False)
        except Ended as end:
            self.drop(end)
        else:
            self.drop()
        return True

    def take_up(self) -> None:
        """It lay idle and is used again: what the peer did in the meantime is not known."""
        self.answered, self.is_used_again = 0, True

    def cut(self) -> None:
        """Wake whoever is blocked here; may be called from any thread."""
        self._line.cut()

    def drop(self, end: Ended | None = None) -> None:
        """End it at once."""
        spoken = isinstance(end, PeerAborted | PeerReleased)
        self._line.close(b"" if spoken else pdu.abort(pdu.NOT_SPECIFIED, by_user=True))

    def release(self) -> None:
        """End it as both sides expect."""
        release(self._line)

    def _send_rest(self, parcel: Parcel, rest: Rendition) -> None:
        wrapping = self._wrapping
        try:
            while rest.left:
                length = rest.readinto(wrapping.buffer)
                pieces = wrapping.wrap(parcel.context_id, length, last=not rest.left)
                self._line.send(pieces, wrapping.size(length))
        except (EdgeError, OSError) as error:
            raise Rotten(unreadable(error)) from error

    def _read(self, *, wait: bool) -> bool:
        """Take one PDU; False when none has come."""
        found = self._line.next_pdu(wait=wait)
        if found is None:
            return False
        kind, body = found
        if kind == pdu.P_DATA_TF:
            self._take(body)
        elif kind == pdu.RELEASE_RQ:
            self._line.send([pdu.RELEASE_RESPONSE], len(pdu.RELEASE_RESPONSE))
            raise PeerReleased
        elif kind == pdu.ABORT:
            raise PeerAborted
        else:
            raise Garbage
        return True

    def _take(self, body: memoryview) -> None:
        at, end = 0, len(body)
        while at < end:
            if at + 6 > end:
                raise Garbage
            length, context_id, control = pdu.PDV_HEADER.unpack_from(body, at)
            stop = at + 4 + length
            if length < 2 or stop > end or context_id not in self._ids or not control & pdu.COMMAND:
                raise Garbage
            self._half += body[at + 6 : stop]
            if len(self._half) > command.MAXIMUM_BYTES:
                raise Garbage
            if control & pdu.LAST:
                try:
                    self._answers.append(command.read_answer(self._half))
                except command.BadCommand:
                    raise Garbage from None
                self._half = bytearray()
            at = stop


def offer_of(delivery: ClaimedDelivery) -> Offer:
    """What a peer must have accepted to get this one: its class in the syntax that it is stored in."""
    return delivery.sealed.sop_class_uid, delivery.sealed.transfer_syntax_uid


def release(line: Line) -> None:
    """End an association as PS3.8 section 7.2 says, also when the peer asks for the same at the same moment."""
    line.idle_seconds = RELEASE_SECONDS
    with contextlib.suppress(Ended):
        line.send([pdu.RELEASE_REQUEST], len(pdu.RELEASE_REQUEST))
        while (found := line.next_pdu()) and found[0] not in (pdu.RELEASE_RP, pdu.ABORT):
            if found[0] == pdu.RELEASE_RQ:
                line.send([pdu.RELEASE_RESPONSE], len(pdu.RELEASE_RESPONSE))
    line.close()
