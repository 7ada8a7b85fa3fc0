"""Negotiation of an association as its acceptor: the library's, on bytes (PS3.8 section 7.1, PS3.7 Annex D).

pynetdicom 3.0.4 runs two threads for each association. Here its `Association` is never started: it is built, fed the
A-ASSOCIATE-RQ, asked to negotiate, and its answer taken. What stands in the place of its upper layer is `Provider`.
Private names that are used here and in `services.py`: `Association._accepted_cx`, `_serve_request`, `_sent_abort`,
`ACSE._check_async_ops`. The version is pinned, and the tests of this folder break when they change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID, AllTransferSyntaxes, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, sop_class
from pynetdicom.association import Association
from pynetdicom.pdu import (
    A_ABORT_RQ,
    A_ASSOCIATE_AC,
    A_ASSOCIATE_RJ,
    A_ASSOCIATE_RQ,
    A_RELEASE_RP,
    A_RELEASE_RQ,
    P_DATA_TF,
)
from pynetdicom.pdu_primitives import (
    A_ABORT,
    A_ASSOCIATE,
    A_P_ABORT,
    A_RELEASE,
    P_DATA,
    AsynchronousOperationsWindowNegotiation,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from edge.upper_layer.ends import ProtocolBroken
from edge.upper_layer.items import without_unknown_items

# A site's scanners send private and retired classes that no list has; a router that refuses them loses images.
_config.UNRESTRICTED_STORAGE_SERVICE = True
_config.USE_SHORT_DIMSE_AET = False
_config.LOG_HANDLER_LEVEL = "none"
# The library takes for storage what it has no name for, and calls these otherwise than the dictionary (PS3.6 Annex A).
for _uid in (
    "1.2.840.10008.5.1.4.31",  # Modality Worklist Information Model - FIND
    *(f"1.2.840.10008.5.1.4.39.{number}" for number in (2, 3, 4)),  # Color Palette - FIND, MOVE, GET
):
    setattr(sop_class, UID(_uid).keyword, UID(_uid))
OPERATIONS = 64
"""Requests that a peer may send without waiting for answers, when it asks: they wait in the kernel."""
_ACCEPTED = 0
MPPS = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step SOP Class (PS3.4 section F.7)."""
COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 Annex J)."""
PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
"""Not deflated: a message of a kilobyte must not become one of a gigabyte."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides agreed on."""

    contexts: dict[int, Context]
    answer: bytes
    """The A-ASSOCIATE-AC, ready to be sent."""
    peer_maximum_length: int
    """The longest PDU that the peer takes; 0 is without limit."""


class Provider:
    """Stands where the library's upper layer stands, without a thread and without queues."""

    socket = None

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def send_pdu(self, primitive: Any) -> None:
        """Send what a service has to say, at once."""
        self._send(_encode(primitive))

    def is_alive(self) -> bool:
        """There is no thread."""
        return False

    def peek_next_pdu(self) -> None:
        """Releases and aborts never come this way: they end the reading of messages."""

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> None:
        """As `peek_next_pdu`."""


class Negotiator:
    """Negotiates for one application entity."""

    def __init__(self, ae_title: str, longest_pdu: int, *, services: Sequence[str] = (MPPS, COMMITMENT)) -> None:
        """`services` are taken beside C-STORE and C-ECHO."""
        self._entity = AE(ae_title=ae_title)
        self._entity.add_supported_context(Verification, AllTransferSyntaxes[:4])
        for service in services:
            self._entity.add_supported_context(service, PLAIN)
        self._entity.maximum_pdu_size = longest_pdu

    def associate(self, request: bytes, provider: Provider) -> Any:
        """Negotiate; the answer goes to the provider.

        Raises:
            ProtocolBroken: the request, an A-ASSOCIATE-RQ with its header, cannot be read.
        """
        association: Any = Association(self._entity, "acceptor")
        association.dul = provider
        acceptor = association.acceptor
        acceptor.ae_title = self._entity.ae_title
        acceptor.maximum_length = self._entity.maximum_pdu_size
        acceptor.implementation_class_uid = self._entity.implementation_class_uid
        acceptor.implementation_version_name = self._entity.implementation_version_name
        acceptor.supported_contexts = self._entity.supported_contexts
        association.acse._check_async_ops = lambda: _operations(association.requestor.asynchronous_operations)
        try:
            pdu = A_ASSOCIATE_RQ()
            pdu.decode(without_unknown_items(request))
            association.requestor.primitive = pdu.to_primitive()
            association.acse.negotiate_association()
        except Exception as error:
            # The library raises whatever a broken item makes it raise; the words may hold values of the peer.
            raise ProtocolBroken("bad-association-request") from error
        return association

    def negotiate(self, request: bytes) -> Negotiated:
        """What we and this peer agree on.

        Raises:
            ProtocolBroken: the request cannot be read.
        """
        answers: list[bytes] = []
        association = self.associate(request, Provider(answers.append))
        agreed = Negotiated(
            contexts={
                int(one): Context(str(context.abstract_syntax), str(context.transfer_syntax[0]))
                for one, context in association._accepted_cx.items()
            },
            answer=b"".join(answers),
            peer_maximum_length=int(association.requestor.maximum_length or 0),
        )
        vars(association).clear()  # it is full of cycles, and would stay until a collection of all generations
        return agreed


def _operations(asked: tuple[int, int]) -> AsynchronousOperationsWindowNegotiation:
    """What we grant (PS3.7 Annex D.3.3.3): we perform in order, and invoke nothing."""
    invoked, _performed = asked
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked = min(invoked or OPERATIONS, OPERATIONS)
    item.maximum_number_operations_performed = 1
    return item


def _encode(primitive: Any) -> bytes:
    match primitive:
        case A_ASSOCIATE():
            pdu: Any = A_ASSOCIATE_AC() if primitive.result == _ACCEPTED else A_ASSOCIATE_RJ()
        case P_DATA():
            pdu = P_DATA_TF()
        case A_RELEASE():
            pdu = A_RELEASE_RQ() if primitive.result is None else A_RELEASE_RP()
        case A_ABORT() | A_P_ABORT():
            pdu = A_ABORT_RQ()
        case _:
            raise TypeError(f"no PDU for {type(primitive).__name__}")
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())
