"""One association, in one thread: C-STORE to custody, everything else to the library's services."""

from __future__ import annotations

import structlog

from edge import metrics
from edge.buffer.expectations import Expectations
from edge.ingest import statuses
from edge.ingest.commitment import Commitment, Later
from edge.ingest.custody import Custody
from edge.ingest.procedure_steps import ProcedureSteps
from edge.ingest.storing import Storing
from edge.model import AssociationFacts
from edge.upper_layer import command, pdu
from edge.upper_layer.connection import Connection
from edge.upper_layer.ends import AssociationEnded, ProtocolBroken
from edge.upper_layer.messages import Command, Messages
from edge.upper_layer.negotiation import Negotiated, Negotiator
from edge.upper_layer.services import Services, verification

log = structlog.get_logger(__name__)


class Serving:
    """Serves one association to its end."""

    def __init__(
        self,
        connection: Connection,
        request: bytes,
        facts: AssociationFacts,
        *,
        custody: Custody,
        expectations: Expectations,
        negotiator: Negotiator,
        longest_pdu: int,
        later: Later,
    ) -> None:
        self._connection, self._request, self._facts = connection, request, facts
        self._custody, self._negotiator, self._longest_pdu = custody, negotiator, longest_pdu
        self._steps = ProcedureSteps(expectations, facts.calling_ae_title)
        self._commitment = Commitment(expectations, facts.calling_ae_title, later)

    def run(self) -> AssociationEnded:
        """Serve until the association ends; how it ended."""
        try:
            agreed = self._negotiator.negotiate(self._request)
            self._connection.send(agreed.answer)
            metrics.OPEN_ASSOCIATIONS.inc()
            try:
                self._serve(agreed)
            finally:
                metrics.OPEN_ASSOCIATIONS.dec()
                self._commitment.close()
        except AssociationEnded as end:
            return end
        except Exception as error:
            log.exception("ingest.failed", error=type(error).__name__)
        return ProtocolBroken("failed", pdu.NOT_SPECIFIED, "A fault of this node; its log has the trace.")

    def _serve(self, agreed: Negotiated) -> None:
        messages = Messages(self._connection, agreed.contexts, self._longest_pdu)
        storing = Storing(self._connection, messages, self._custody, self._facts, agreed.peer_maximum_length)
        services: Services | None = None
        while True:
            message = messages.next_command()
            elements = _elements(message)
            field = command.number(elements, command.FIELD)
            if field == command.C_STORE_RQ:
                storing.serve(message.context_id, agreed.contexts[message.context_id], elements)
                continue
            if field == command.N_EVENT_REPORT_RSP:
                self._take_answer(messages, message, elements)
                continue
            if services is None:
                services = Services(self._negotiator, self._request, messages, self._connection.send)
                services.bind(verification(lambda: statuses.SUCCESS))
                services.bind((*self._steps.handlers(), *self._commitment.handlers()))
            services.serve(message)
            self._commitment.report(services, agreed.contexts)

    def _take_answer(self, messages: Messages, message: Command, elements: dict[int, bytes]) -> None:
        if not self._commitment.answered(elements):
            raise ProtocolBroken("bad-command-set")  # nothing was asked
        if command.number(elements, command.DATA_SET_TYPE) != command.NO_DATA_SET:
            messages.skip_data_set(message.context_id)


def _elements(message: Command) -> dict[int, bytes]:
    try:
        elements = command.read(message.raw)
    except command.BadCommand as error:
        raise ProtocolBroken("bad-command-set") from error
    field, data_set = command.number(elements, command.FIELD), command.number(elements, command.DATA_SET_TYPE)
    known = field in command.REQUESTS or field == command.N_EVENT_REPORT_RSP
    if not known or data_set is None:
        raise ProtocolBroken("bad-command-set")  # nobody could say what follows it
    return elements
