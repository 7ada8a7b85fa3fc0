"""What happens on an association: C-STORE to custody, C-ECHO, and a count of everything that goes wrong."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Any, NamedTuple

import structlog
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from edge import metrics
from edge.buffer.part10 import FileMeta
from edge.errors import SpoolError
from edge.ingest import statuses
from edge.ingest.custody import Custody
from edge.model import AssociationFacts

log = structlog.get_logger(__name__)
_UID = re.compile(r"[0-9.]{1,64}")  # lenient on purpose: components with leading zeros are common and harmless


UID_LIMIT = 64


class _Fault(NamedTuple):
    """Why a request cannot be served."""

    reason: str
    status: int
    words: str


class Handlers:
    """Binds one door's events to custody."""

    def __init__(self, custody: Custody, pdu_timeout_seconds: float) -> None:
        self._custody, self._pdu_timeout = custody, pdu_timeout_seconds

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
                reception.write(request.DataSet.getbuffer())
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
        fault = _fault(str(command.get("AffectedSOPClassUID") or ""), str(command.get("AffectedSOPInstanceUID") or ""))
        if fault is None:
            return
        metrics.INSTANCES_REFUSED.labels(reason=fault.reason).inc()
        log.error(
            "ingest.refused",
            reason=fault.reason,
            calling_ae_title=facts_of(event.assoc).calling_ae_title,
            hint=f"{fault.words} The sender keeps its copy. Mend the sender.",
        )
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = command.get("MessageID", 1)
        answer.Status = fault.status
        # Without it the library takes the request for none and leaves it alone; with it, it would choke.
        command.pop("AffectedSOPInstanceUID", None)
        event.assoc.dimse.send_msg(answer, event.message.context_id)

    def on_open(self, event: Any) -> None:
        """A TCP connection came in; it is nothing yet. The library itself never gives up inside a PDU."""
        event.assoc.skerry_established = False
        event.assoc.dul.socket.socket.settimeout(self._pdu_timeout)

    def on_established(self, event: Any) -> None:
        """The peer speaks DICOM."""
        event.assoc.skerry_established = True
        metrics.OPEN_ASSOCIATIONS.inc()

    def on_close(self, event: Any) -> None:
        """Count connections that never became an association, and objects that never became whole."""
        partial = event.assoc.dimse.message
        if partial is not None and getattr(partial, "encoded_command_set", None):
            metrics.PARTIAL_OBJECTS.inc()
            log.warning(
                "ingest.partial_object_discarded",
                calling_ae_title=facts_of(event.assoc).calling_ae_title,
                hint="The association ended inside an object; the peer got no success for it and keeps it.",
            )
        if not getattr(event.assoc, "skerry_established", False):
            metrics.ASSOCIATIONS.labels(outcome="never-established").inc()
            log.info("ingest.not_dicom", peer_address=event.address[0] if event.address else "")
            # The library's thread would wait for a request of this dead connection until its timer ends.
            event.assoc.dul.to_user_queue.put(None)

    def _ended(self, event: Any, outcome: str) -> None:
        metrics.ASSOCIATIONS.labels(outcome=outcome).inc()
        if getattr(event.assoc, "skerry_established", False):
            metrics.OPEN_ASSOCIATIONS.dec()
            log.info(
                "ingest.association_ended", outcome=outcome, calling_ae_title=facts_of(event.assoc).calling_ae_title
            )


def _fault(sop_class_uid: str, sop_instance_uid: str) -> _Fault | None:
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


def cut(association: Any) -> None:
    """End this connection now, whatever the peer and the library's threads are doing with it."""
    connection = association.dul.socket.socket if association.dul.socket else None
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def facts_of(assoc: Any) -> AssociationFacts:
    """Who is at the other end of this association."""
    return AssociationFacts(
        calling_ae_title=str(assoc.requestor.ae_title or "").strip(),
        called_ae_title=str(assoc.requestor.primitive.called_ae_title or "").strip()
        if assoc.requestor.primitive
        else "",
        peer_address=str(assoc.requestor.address or ""),
    )
