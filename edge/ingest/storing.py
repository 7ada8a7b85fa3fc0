"""C-STORE of one association (PS3.4 Annex B): every data set to custody, every request to its answer."""

from __future__ import annotations

import structlog

from edge import metrics
from edge.buffer.part10 import FileMeta
from edge.errors import SpoolError
from edge.ingest import statuses
from edge.ingest.custody import Custody, Duplicate, Pieces, Reception
from edge.ingest.requests import StoreRequest, fault_of, read_store_request
from edge.model import AssociationFacts, SealedInstance
from edge.upper_layer import command, pdu
from edge.upper_layer.connection import Connection
from edge.upper_layer.ends import AssociationEnded, ProtocolBroken
from edge.upper_layer.messages import Messages
from edge.upper_layer.negotiation import Context

log = structlog.get_logger(__name__)


class Storing:
    """Takes the instances of one association into custody, one after the other."""

    def __init__(
        self, connection: Connection, messages: Messages, custody: Custody, facts: AssociationFacts, longest_pdu: int
    ) -> None:
        self._connection, self._messages, self._custody, self._facts = connection, messages, custody, facts
        self._longest = longest_pdu or 1 << 14
        self._expected = 0

    def serve(self, context_id: int, context: Context, elements: dict[int, bytes]) -> None:
        """Answer success only when the instance would survive a power cut; any refusal leaves it with its sender.

        Raises:
            AssociationEnded: before the data set was whole, or before the answer was taken.
        """
        request = read_store_request(elements)
        if request is None:
            self._say_fault("no-message-id", "The C-STORE request has no Message ID to answer to.")
            raise ProtocolBroken("no-message-id")
        fault = fault_of(request)
        if fault is not None:
            self._say_fault(fault.reason, fault.words)
            if request.has_data_set:
                self._messages.skip_data_set(context_id)
            self._answer(context_id, request, fault.status)
            return
        if request.is_odd():
            metrics.INSTANCES_FLAGGED.labels(flag="invalid-uid").inc()
            log.warning("ingest.odd_uid", calling_ae_title=self._facts.calling_ae_title, hint="mend the sender")
        incoming, last = self._take_in(context_id, context, request)
        sealed = incoming.complete(last)
        if sealed is None:
            self._answer(context_id, request, incoming.status)
            return
        self._expected = sealed.data_set_length
        try:
            self._answer(context_id, request, statuses.SUCCESS)
        finally:
            self._custody.hand_on(sealed)  # it is in custody, whether its sender hears of it or not

    def _take_in(self, context_id: int, context: Context, request: StoreRequest) -> tuple[_Incoming, Pieces]:
        meta = FileMeta(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=context.transfer_syntax_uid,
            facts=self._facts,
        )
        incoming = _Incoming(self._custody, meta, self._expected)
        try:
            return incoming, self._messages.data_set(context_id, incoming.write)
        except AssociationEnded:
            incoming.discard()
            self._say_partial()
            raise

    def _answer(self, context_id: int, request: StoreRequest, status: int) -> None:
        response = command.store_response(
            message_id=request.message_id,
            sop_class_uid=request.raw_sop_class_uid,
            sop_instance_uid=request.raw_sop_instance_uid,
            status=status,
        )
        self._connection.send(pdu.command_pdus(context_id, response, self._longest))

    def _say_fault(self, reason: str, words: str) -> None:
        metrics.INSTANCES_REFUSED.labels(reason=reason).inc()
        log.error(
            "ingest.refused",
            reason=reason,
            calling_ae_title=self._facts.calling_ae_title,
            hint=f"{words} The sender keeps its copy. Mend the sender.",
        )

    def _say_partial(self) -> None:
        metrics.PARTIAL_OBJECTS.inc()
        log.warning(
            "ingest.partial_object_discarded",
            calling_ae_title=self._facts.calling_ae_title,
            hint="The association ended inside an object; the peer got no success for it and keeps it.",
        )


class _Incoming:
    """One data set on its way into the spool. What fails there is remembered, and the rest of its bytes passed over."""

    def __init__(self, custody: Custody, meta: FileMeta, expected: int) -> None:
        self._custody, self._meta, self._expected = custody, meta, expected
        self._reception: Reception | None = None
        self._failed = False
        self.status = statuses.OUT_OF_RESOURCES
        """What to answer when it was not taken: the peer keeps its copy and tries again. Other ones make it give up."""
        try:
            custody.check_room()
        except Exception as error:
            self._fail(error)

    def write(self, pieces: Pieces) -> None:
        """Take a full window; the file is begun only now, so that what fits into one is written at once."""
        if self._failed:
            return
        try:
            if self._reception is None:
                size = sum(map(len, pieces))
                self._reception = self._custody.begin(self._meta, max(self._expected, 2 * size))
            self._reception.write(pieces)
        except Exception as error:
            self._fail(error)

    def complete(self, last: Pieces) -> SealedInstance | None:
        """In custody; None when the spool could not take it."""
        if self._failed:
            return None
        try:
            if self._reception is None:
                self._reception = self._custody.begin(self._meta, sum(map(len, last)))
            return self._custody.complete(self._reception, self._meta.sop_instance_uid, last)
        except Exception as error:
            self._fail(error)
            return None

    def discard(self) -> None:
        """Its bytes will never be whole."""
        if self._reception is not None and not self._failed:
            self._reception.discard()

    def _fail(self, error: Exception) -> None:
        self.discard()
        self._failed = True
        if isinstance(error, Duplicate):
            self.status = statuses.DUPLICATE_SOP_INSTANCE
        if isinstance(error, SpoolError):
            self._custody.refused(error)
            return
        metrics.INSTANCES_REFUSED.labels(reason="internal").inc()
        log.error("ingest.refused", reason="internal", error=type(error).__name__, exc_info=error)
