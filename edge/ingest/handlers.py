"""What happens on an association: C-STORE to custody, C-ECHO, and a count of everything that goes wrong."""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import Any, NamedTuple

import structlog
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from edge import metrics
from edge.buffer.part10 import FileMeta
from edge.errors import SpoolError
from edge.ingest import statuses
from edge.ingest.custody import Custody
from edge.ingest.wire import Oversized, guard
from edge.model import AssociationFacts

log = structlog.get_logger(__name__)
_UID = re.compile(r"[0-9.]{1,64}")  # lenient on purpose: components with leading zeros are common and harmless
UID_LIMIT = 64
AE_TITLE_LIMIT = 16


class _Fault(NamedTuple):
    """Why a request cannot be served."""

    reason: str
    status: int | None
    """None when no answer can be made, and the association has to end."""
    words: str


class Handlers:
    """Binds one door's events to custody."""

    def __init__(self, custody: Custody, pdu_timeout_seconds: float, maximum_pdu_size: int) -> None:
        self._custody, self._pdu_timeout, self._pdu_limit = custody, pdu_timeout_seconds, maximum_pdu_size
        self._telling = threading.Lock()

    def bindings(self) -> list[Any]:
        """What to give to `AE.start_server`."""
        return [
            (evt.EVT_C_STORE, self.on_store),
            (evt.EVT_C_ECHO, self.on_echo),
            (evt.EVT_DIMSE_RECV, self.on_message),
            (evt.EVT_CONN_OPEN, self.on_open),
            (evt.EVT_CONN_CLOSE, self.on_close),
            (evt.EVT_ESTABLISHED, self.on_established),
            (evt.EVT_RELEASED, lambda event: self._ended(event, "released")),
            (evt.EVT_ABORTED, lambda event: self._ended(event, "aborted")),
            (evt.EVT_REJECTED, lambda event: self._ended(event, "rejected")),
        ]

    def on_store(self, event: Any) -> int:
        """Answer success only when the instance would survive a power cut (PS3.4 Annex B.2)."""
        request, context = event.request, event.context
        meta = FileMeta(
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(context.transfer_syntax),
            facts=facts_of(event.assoc),
        )
        if not _UID.fullmatch(meta.sop_instance_uid):
            metrics.INSTANCES_FLAGGED.labels(flag="invalid-uid").inc()
            log.warning(
                "ingest.odd_uid", calling_ae_title=meta.facts.calling_ae_title, hint="accepted; mend the sender"
            )
        try:
            reception = self._custody.begin(meta)
            try:
                reception.write((request.DataSet.getbuffer(),))
            except BaseException:
                reception.discard()
                raise
            self._custody.complete(reception)
        except SpoolError as error:
            self._custody.refused(error)
            return statuses.OUT_OF_RESOURCES
        except Exception as error:
            # The peer keeps its copy and tries again; any other status would make many of them give it up.
            metrics.INSTANCES_REFUSED.labels(reason="internal").inc()
            log.error("ingest.refused", reason="internal", error=type(error).__name__)
            return statuses.OUT_OF_RESOURCES
        return statuses.SUCCESS

    def on_echo(self, event: Any) -> int:  # noqa: ARG002 - the library's signature
        """Verification (PS3.4 Annex A): the door is open."""
        return statuses.SUCCESS

    def on_message(self, event: Any) -> None:
        """Answer what the library would leave without an answer: a C-STORE-RQ whose UIDs cannot be UIDs."""
        command = event.message.command_set
        if command.get("CommandField") != 0x0001:
            return
        fault = _fault(
            command.get("MessageID"),
            str(command.get("AffectedSOPClassUID") or ""),
            str(command.get("AffectedSOPInstanceUID") or ""),
        )
        if fault is None:
            return
        metrics.INSTANCES_REFUSED.labels(reason=fault.reason).inc()
        log.error(
            "ingest.refused",
            reason=fault.reason,
            calling_ae_title=facts_of(event.assoc).calling_ae_title,
            hint=f"{fault.words} The sender keeps its copy. Mend the sender.",
        )
        # Without them the library takes the request for none and leaves it alone; with them, it would choke.
        for keyword in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"):
            command.pop(keyword, None)
        if fault.status is None or not isinstance(command.get("MessageID"), int):
            event.assoc.abort(block=False)
            return
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = command.MessageID
        answer.Status = fault.status
        event.assoc.dimse.send_msg(answer, event.message.context_id)

    def on_open(self, event: Any) -> None:
        """A TCP connection came in; it is nothing yet."""
        association = event.assoc
        association.skerry_established = association.skerry_told = False
        guard(
            association,
            seconds=self._pdu_timeout,
            limit=self._pdu_limit,
            broken=partial(self._broken, association),
            over=partial(self._over, association),
        )

    def on_established(self, event: Any) -> None:
        """The peer speaks DICOM."""
        event.assoc.skerry_established = True
        metrics.OPEN_ASSOCIATIONS.inc()

    def on_close(self, event: Any) -> None:
        """Count objects that never became whole, and let the thread of a connection that became nothing go."""
        partial_object = event.assoc.dimse.message
        if partial_object is not None and getattr(partial_object, "encoded_command_set", None):
            metrics.PARTIAL_OBJECTS.inc()
            log.warning(
                "ingest.partial_object_discarded",
                calling_ae_title=facts_of(event.assoc).calling_ae_title,
                hint="The association ended inside an object; the peer got no success for it and keeps it.",
            )
        if not event.assoc.skerry_established:
            # The library's thread would wait for a request of this dead connection until its timer ends.
            event.assoc.dul.to_user_queue.put(None)

    def _ended(self, event: Any, outcome: str) -> None:
        self._tell(event.assoc, outcome)

    def _broken(self, association: Any, error: Exception) -> None:
        """The peer sent what is no DICOM. Only the kind of error is said: its words may hold values of the peer."""
        facts = facts_of(association)
        log.warning(
            "ingest.protocol_error",
            error=type(error).__name__,
            calling_ae_title=facts.calling_ae_title,
            peer_address=facts.peer_address,
            hint="The peer sent a PDU larger than it was told to. Mend the sender."
            if isinstance(error, Oversized)
            else "The peer sent bytes that are no DICOM message. Its association ended; no other did.",
        )
        self._tell(association, "protocol-error")

    def _over(self, association: Any) -> None:
        """The connection's thread ends: whatever has not been told yet, is told now."""
        if not association.skerry_established and not association.skerry_told:
            log.info("ingest.not_dicom", peer_address=facts_of(association).peer_address)
        self._tell(association, "aborted" if association.skerry_established else "never-established")

    def _tell(self, association: Any, outcome: str) -> None:
        """Count how a connection ended: once, by what was known first."""
        with self._telling:  # a connection has two threads, and both may see its end
            if association.skerry_told:
                return
            association.skerry_told = True
        metrics.ASSOCIATIONS.labels(outcome=outcome).inc()
        if association.skerry_established:
            metrics.OPEN_ASSOCIATIONS.dec()
            log.info(
                "ingest.association_ended", outcome=outcome, calling_ae_title=facts_of(association).calling_ae_title
            )


def _fault(message_id: object, sop_class_uid: str, sop_instance_uid: str) -> _Fault | None:
    if message_id is None or message_id == "":
        return _Fault("no-message-id", None, "The C-STORE request has no Message ID to answer to.")
    if not sop_instance_uid:
        words = "The C-STORE request names no SOP Instance UID."
        return _Fault("no-sop-instance-uid", statuses.INVALID_SOP_INSTANCE, words)
    if len(sop_instance_uid) > UID_LIMIT:
        words = "The C-STORE request names a SOP Instance UID of more than 64 characters (PS3.5 section 9.1)."
        return _Fault("long-sop-instance-uid", statuses.INVALID_SOP_INSTANCE, words)
    if not sop_class_uid or len(sop_class_uid) > UID_LIMIT:
        words = "The C-STORE request names no SOP Class UID that could be one."
        return _Fault("no-sop-class-uid", statuses.SOP_CLASS_NOT_SUPPORTED, words)
    return None


def facts_of(assoc: Any) -> AssociationFacts:
    """Who is at the other end of this association."""
    primitive = assoc.requestor.primitive
    return AssociationFacts(
        calling_ae_title=_title(assoc.requestor.ae_title),
        called_ae_title=_title(primitive.called_ae_title if primitive else None),
        peer_address=str(assoc.requestor.address or ""),
    )


def _title(value: object) -> str:
    """An AE title as it may stand in a log: printable ASCII, at most 16 characters (PS3.5 section 6.2)."""
    shown = "".join(one if one.isascii() and one.isprintable() else "?" for one in str(value or ""))
    return shown.strip()[:AE_TITLE_LIMIT]
