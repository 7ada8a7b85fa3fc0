"""Every service but C-STORE: the library's service classes, on the association whose bytes we read."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Any

from pynetdicom import evt
from pynetdicom.pdu_primitives import P_DATA

from edge.upper_layer import pdu
from edge.upper_layer.command import DATA_SET_TYPE, FIELD, NO_DATA_SET, number, read
from edge.upper_layer.ends import AssociationEnded, ProtocolBroken
from edge.upper_layer.messages import Command, Messages, Pieces
from edge.upper_layer.negotiation import Negotiator, Provider

LONGEST_IDENTIFIER = 16 << 20
"""Bytes of a data set that a service other than C-STORE may get: queries, not images."""
_RESPONSE = 0x8000
_REQUESTS = frozenset({0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150, 0x0FFF})
"""Command fields of PS3.7 Annex E.1."""
Handlers = Sequence[tuple[Any, Callable[[Any], Any]]]


class Services:
    """The library's side of one association; made when it is first needed."""

    def __init__(
        self, negotiator: Negotiator, request: bytes, messages: Messages, send: Callable[[bytes], None]
    ) -> None:
        self._messages, self._send = messages, send
        self._negotiating = True
        self._association = negotiator.associate(request, Provider(self._say))
        self._negotiating = False
        # A service that waits for the peer (C-CANCEL, the answers to C-GET's sub-operations) reads on from here.
        self._association.dimse.get_msg = self._next_message

    def bind(self, handlers: Handlers) -> None:
        """Answer these events of the library."""
        for event, handler in handlers:
            self._association.bind(event, handler)

    def serve(self, command: Command) -> None:
        """Serve one request that is no C-STORE, to its last answer.

        Raises:
            ProtocolBroken: it is no message that the library can read, or it asks for nothing that is served here.
            AssociationEnded: the association ended meanwhile.
        """
        self._feed(command)
        try:
            context_id, message = self._association.dimse.msg_queue.get_nowait()
        except queue.Empty:
            return  # a C-CANCEL that came too late
        if not message.is_valid_request:
            raise ProtocolBroken("bad-message", pdu.UNEXPECTED_PARAMETER)  # the library would say nothing at all
        try:
            self._association._serve_request(message, context_id)
        except AssociationEnded:
            raise
        except Exception as error:
            raise ProtocolBroken("service-failed", pdu.NOT_SPECIFIED) from error
        if self._association._sent_abort:
            raise ProtocolBroken("service-not-supported", None)  # the library has said so

    def tell(self, context_id: int, request: Any) -> None:
        """Send a request of ours; its answer comes as a message among the others.

        Raises:
            AssociationEnded: the peer takes nothing any more.
        """
        self._association.dimse.send_msg(request, context_id)

    def _feed(self, command: Command) -> None:
        elements = read(command.raw)
        field, data_set_type = number(elements, FIELD), number(elements, DATA_SET_TYPE)
        if field is None or field & ~_RESPONSE not in _REQUESTS or data_set_type is None:
            raise ProtocolBroken("bad-command-set")  # before a data set is waited for that may never come
        parts = [[command.context_id, bytes((pdu.COMMAND | pdu.LAST,)) + command.raw]]
        if data_set_type != NO_DATA_SET:
            parts.append([command.context_id, bytes((pdu.LAST,)) + self._identifier(command.context_id)])
        for part in parts:
            primitive: Any = P_DATA()
            primitive.presentation_data_value_list = [part]
            try:
                self._association.dimse.receive_primitive(primitive)
            except Exception as error:
                raise ProtocolBroken("bad-message") from error

    def _identifier(self, context_id: int) -> bytes:
        collected = bytearray()

        def collect(pieces: Pieces) -> None:
            for piece in pieces:
                collected.extend(piece)
            if len(collected) > LONGEST_IDENTIFIER:
                raise ProtocolBroken("identifier-too-long")

        collect(self._messages.data_set(context_id, collect))
        return bytes(collected)

    def _next_message(self, block: bool = False) -> tuple[Any, Any]:
        waiting = self._association.dimse.msg_queue
        while block and waiting.empty():
            self._feed(self._messages.next_command())
        try:
            context_id, message = waiting.get_nowait()
        except queue.Empty:
            return None, None
        return context_id, message

    def _say(self, data: bytes) -> None:
        if not self._negotiating:  # it was negotiated before, and that answer has been sent
            self._send(data)


def verification(answer: Callable[[], int]) -> Handlers:
    """C-ECHO (PS3.4 Annex A) with this status."""
    return ((evt.EVT_C_ECHO, lambda _event: answer()),)
