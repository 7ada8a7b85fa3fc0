"""C-STORE SCU on pynetdicom: one association for a batch, data sets streamed from the spool exactly as they came in.

Private names of pynetdicom 3.0.4 that are used here: `Association._reactor_checkpoint`, `_is_paused`, and
`C_STORE._dataset_path`, its own way of streaming a file. The version is pinned, and the contract suite of the
forwarders breaks when they change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from edge.buffer.spool import Spool
from edge.errors import SpoolError
from edge.forward.base import DestinationDown, Refused, Settle, TryLater
from edge.forward.patience import cut, hang_up, raw_socket, wait_for_answer
from edge.forward.statuses import outcome_of
from edge.model import ClaimedDelivery, DicomDestination

log = structlog.get_logger(__name__)

MAX_CONTEXTS = 128  # PS3.8 section 9.3.2.2: odd identifiers from 1 to 255
CONNECT_SECONDS = 5
IDLE_SECONDS = 120
"""How long nothing may move in either direction, not how long an object may take."""

_REJECTIONS = {  # PS3.8 Table 9-21: (source, reason) -> words
    (1, 2): "it does not support our application context",
    (1, 3): "it does not know our calling AE title",
    (1, 7): "it does not know the called AE title",
    (3, 1): "it is congested",
    (3, 2): "it has reached its limit of associations",
}
Offer = tuple[str, str]


class CStoreForwarder:
    """Sends to one peer. Opens an association when there is work and releases it after the batch."""

    def __init__(self, destination: DicomDestination, spool: Spool, *, idle_seconds: float | None = None) -> None:
        self._destination, self._spool = destination, spool
        self._idle_seconds = IDLE_SECONDS if idle_seconds is None else idle_seconds
        self._interrupted = threading.Event()
        self._association: Any = None
        self._ae = AE(ae_title=destination.calling_ae_title)
        self._ae.connection_timeout = CONNECT_SECONDS
        self._ae.acse_timeout = 30
        self._ae.network_timeout = None  # it counts only what is received; `patience` counts both directions
        self._message_id = 0

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        """See `Forwarder.deliver`. One association carries what fits into its presentation contexts."""
        waiting = list(deliveries)
        while waiting:
            offers = _offers(waiting)
            batch = [one for one in waiting if _offer(one) in offers]
            waiting = [one for one in waiting if _offer(one) not in offers]
            self._deliver_batch(batch, offers, settle)

    def close(self) -> None:
        """No association stays open between batches."""

    def interrupt(self) -> None:
        """See `Forwarder.interrupt`."""
        self._interrupted.set()
        raw = None if self._association is None else raw_socket(self._association)
        if raw is not None:
            cut(raw)

    def _deliver_batch(self, batch: Sequence[ClaimedDelivery], offers: Sequence[Offer], settle: Settle) -> None:
        association = self._associate(offers)
        accepted = {
            (str(one.abstract_syntax), str(one.transfer_syntax[0])): int(one.context_id)
            for one in association.accepted_contexts
        }
        try:
            for delivery in batch:
                self._deliver_one(association, accepted, delivery, settle)
        finally:
            if association.is_established:
                association.release()

    def _deliver_one(
        self, association: Any, accepted: dict[Offer, int], delivery: ClaimedDelivery, settle: Settle
    ) -> None:
        context_id = accepted.get(_offer(delivery))
        if context_id is None:
            settle(delivery, Refused(reason=_not_accepted(delivery)))
            return
        try:
            self._spool.verify(delivery.sealed)
        except SpoolError as error:
            settle(delivery, Refused(reason=str(error)))
            return
        if not association.is_established:
            raise DestinationDown("it ended the association", hint="Look at its log for the reason.")
        status = self._send(association, context_id, delivery)
        if status is None:
            settle(delivery, TryLater(reason="the association broke while this instance was sent"))
            raise DestinationDown("it broke the association", hint="Look at its log for the reason.")
        settle(delivery, outcome_of(status, attempts=delivery.attempts))

    def _associate(self, offers: Sequence[Offer]) -> Any:
        peer = self._destination
        if self._interrupted.is_set():
            raise DestinationDown("this node is leaving it", hint="Nothing is to be done.")
        try:
            association = self._ae.associate(
                peer.host,
                peer.port,
                ae_title=peer.ae_title,
                contexts=[build_context(UID(sop_class), [UID(syntax)]) for sop_class, syntax in offers],
                evt_handlers=[(evt.EVT_CONN_OPEN, self._connected)],
            )
        except OSError as error:
            raise DestinationDown(
                f"its address {peer.host} cannot be used: {error.strerror}",
                hint="Check the name in the policy, and the name server of this machine.",
            ) from error
        if association.is_established or association.rejected_contexts:
            return association  # a peer that accepts nothing that we offer has answered all the same
        if association.is_rejected:
            answer: Any = association.acceptor.primitive
            words = _REJECTIONS.get((answer.result_source, answer.diagnostic), "it gives no reason")
            raise DestinationDown(
                f"it refuses the association: {words}",
                hint=f"Ask its administrator to let {peer.calling_ae_title} call {peer.ae_title}.",
            )
        raise DestinationDown(
            f"nothing answers as DICOM at {peer.host}:{peer.port}",
            hint="Check that it runs, and the address, the port and the firewall.",
        )

    def _connected(self, event: Any) -> None:
        """No thread of pynetdicom may stay in `send` or `recv` for ever; it sets no time-out of its own."""
        self._association = event.assoc
        raw = raw_socket(event.assoc)
        if raw is not None:
            raw.settimeout(self._idle_seconds)

    def _send(self, association: Any, context_id: int, delivery: ClaimedDelivery) -> int | None:
        """The peer's status, or None when the association is lost (PS3.7 section 9.1.1)."""
        sealed = delivery.sealed
        self._message_id = self._message_id % 65535 + 1
        request = C_STORE()
        request.MessageID = self._message_id
        request.Priority = 0
        request.AffectedSOPClassUID = UID(sealed.sop_class_uid)
        request.AffectedSOPInstanceUID = UID(sealed.sop_instance_uid)
        request._dataset_path = (self._spool.path(sealed.instance_id), sealed.data_set_offset)
        association._reactor_checkpoint.clear()
        while not association._is_paused and association.is_alive():
            time.sleep(0.0001)
        association.dimse.send_msg(request, context_id)
        response = wait_for_answer(association, idle_seconds=self._idle_seconds, interrupted=self._interrupted)
        if response is None or response.Status is None:
            hang_up(association)
            return None
        association._reactor_checkpoint.set()
        return int(response.Status)


def _offer(delivery: ClaimedDelivery) -> Offer:
    return delivery.sealed.sop_class_uid, delivery.sealed.transfer_syntax_uid


def _offers(deliveries: Sequence[ClaimedDelivery]) -> list[Offer]:
    """What to propose: exactly what is queued, each SOP class in the syntax that it is stored in."""
    return list(dict.fromkeys(_offer(one) for one in deliveries))[:MAX_CONTEXTS]


def _not_accepted(delivery: ClaimedDelivery) -> str:
    sop_class, syntax = (UID(part) for part in _offer(delivery))
    return f"it does not accept {sop_class.name} in {syntax.name}"
