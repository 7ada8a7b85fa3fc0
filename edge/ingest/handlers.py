"""What happens on an association: C-STORE to custody, C-ECHO, and a count of everything that goes wrong."""

from __future__ import annotations

import re
from typing import Any

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


class Handlers:
    """Binds one door's events to custody."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody

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
        return statuses.SUCCESS

    def on_echo(self, event: Any) -> int:  # noqa: ARG002 - the library's signature
        """Verification (PS3.4 Annex A): the door is open."""
        return statuses.SUCCESS

    def on_message(self, event: Any) -> None:
        """Answer what the library would leave without an answer: a C-STORE-RQ without a SOP Instance UID."""
        command = event.message.command_set
        if command.get("CommandField") != 0x0001 or command.get("AffectedSOPInstanceUID"):
            return
        metrics.INSTANCES_REFUSED.labels(reason="no-sop-instance-uid").inc()
        log.error(
            "ingest.refused",
            reason="no-sop-instance-uid",
            calling_ae_title=facts_of(event.assoc).calling_ae_title,
            hint="The sender's C-STORE request names no SOP Instance UID; it keeps its copy. Mend the sender.",
        )
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = command.get("MessageID", 1)
        answer.AffectedSOPClassUID = command.get("AffectedSOPClassUID")
        answer.Status = statuses.INVALID_SOP_INSTANCE
        event.assoc.dimse.send_msg(answer, event.message.context_id)

    def on_open(self, event: Any) -> None:
        """A TCP connection came in; it is nothing yet."""
        event.assoc.skerry_established = False

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

    def _ended(self, event: Any, outcome: str) -> None:
        metrics.ASSOCIATIONS.labels(outcome=outcome).inc()
        if getattr(event.assoc, "skerry_established", False):
            metrics.OPEN_ASSOCIATIONS.dec()
            log.info(
                "ingest.association_ended", outcome=outcome, calling_ae_title=facts_of(event.assoc).calling_ae_title
            )


def facts_of(assoc: Any) -> AssociationFacts:
    """Who is at the other end of this association."""
    return AssociationFacts(
        calling_ae_title=str(assoc.requestor.ae_title or "").strip(),
        called_ae_title=str(assoc.requestor.primitive.called_ae_title or "").strip()
        if assoc.requestor.primitive
        else "",
        peer_address=str(assoc.requestor.address or ""),
    )
