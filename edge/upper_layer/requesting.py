"""Negotiation of an association as its requestor (pure): the library's PDU classes, on bytes (PS3.8 section 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from edge.upper_layer.pdu import APPLICATION_CONTEXT, NotDicom

MAX_CONTEXTS = 128
"""PS3.8 section 9.3.2.2: odd identifiers from 1 to 255."""
_OF_A_UID = frozenset("0123456789.")
Offer = tuple[str, str]
"""A SOP class, and the one transfer syntax that its objects are stored in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What we ask for."""

    calling_ae_title: str
    called_ae_title: str
    offers: Sequence[Offer]
    """At most `MAX_CONTEXTS`."""
    maximum_length: int
    """The longest P-DATA-TF that we take (PS3.8 Annex D.1)."""
    operations: int
    """Requests that we would like to send without waiting for answers (PS3.7 Annex D.3.3.3)."""
    implementation_class_uid: str
    implementation_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the peer gave."""

    contexts: dict[Offer, int]
    """Presentation context by what was offered on it; what is not here was not accepted."""
    maximum_length: int
    """The longest P-DATA-TF that the peer takes; 0 is without limit."""
    operations: int
    """Requests that may be outstanding; 1 when the peer says nothing."""


def request(proposal: Proposal) -> bytes:
    """The A-ASSOCIATE-RQ for this proposal."""
    primitive: Any = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = proposal.calling_ae_title
    primitive.called_ae_title = proposal.called_ae_title
    primitive.presentation_context_definition_list = [
        _context(number, offer) for number, offer in enumerate(proposal.offers)
    ]
    length: Any = MaximumLengthNotification()
    length.maximum_length_received = proposal.maximum_length
    implementation: Any = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(proposal.implementation_class_uid)
    version: Any = ImplementationVersionNameNotification()
    version.implementation_version_name = proposal.implementation_version
    window: Any = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = proposal.operations
    window.maximum_number_operations_performed = 1
    primitive.user_information = [length, implementation, version, window]
    pdu: Any = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def read_acceptance(raw: bytes, proposal: Proposal) -> Granted:
    """What an A-ASSOCIATE-AC, with its header, grants of what we proposed.

    Raises:
        NotDicom: it cannot be read.
    """
    try:
        pdu: Any = A_ASSOCIATE_AC()
        pdu.decode(raw)
        primitive = pdu.to_primitive()
        answers = {
            int(one.context_id): str(one.transfer_syntax[0])
            for one in primitive.presentation_context_definition_results_list
            if one.result == 0 and one.transfer_syntax
        }
        items = primitive.user_information
    except Exception as error:
        # The library raises whatever a broken item makes it raise; the words may hold values of the peer.
        raise NotDicom("the A-ASSOCIATE-AC cannot be read") from error
    proposed = {2 * number + 1: offer for number, offer in enumerate(proposal.offers)}
    lengths = [one.maximum_length_received for one in items if isinstance(one, MaximumLengthNotification)]
    windows = [
        one.maximum_number_operations_invoked
        for one in items
        if isinstance(one, AsynchronousOperationsWindowNegotiation)
    ]
    return Granted(
        contexts={
            proposed[number]: number
            for number, syntax in answers.items()
            if number in proposed and proposed[number][1] == syntax
        },
        maximum_length=int(lengths[0] or 0) if lengths else 0,
        operations=min(int(windows[0]) or proposal.operations, proposal.operations) if windows else 1,
    )


def can_be_offered(offer: Offer) -> bool:
    """Whether both are what an A-ASSOCIATE-RQ can carry; a peer may have stored with us under what is no UID."""
    return all(one and len(one) <= 64 and set(one) <= _OF_A_UID for one in offer)


def _context(number: int, offer: Offer) -> PresentationContext:
    context = PresentationContext()
    context.context_id = 2 * number + 1
    context.abstract_syntax = UID(offer[0])
    context.transfer_syntax = [UID(offer[1])]
    return context
