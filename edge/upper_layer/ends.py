"""How an association can end other than by release: each end has a name, and what the peer is told."""

from __future__ import annotations

from edge.upper_layer import pdu


class AssociationEnded(Exception):
    """This association is over."""

    outcome = "ended"
    """The name under which it is counted; bounded, never a word of the peer."""
    abort: int | None = None
    """The reason in the A-ABORT that the peer gets; None when it gets none."""
    hint = ""


class Released(AssociationEnded):
    """The peer asked for release (PS3.8 section 7.2); it has got its answer."""

    outcome = "released"


class PeerAborted(AssociationEnded):
    """The peer sent an A-ABORT (PS3.8 section 7.3)."""

    outcome = "aborted"


class PeerGone(AssociationEnded):
    """The connection was closed or lost without a word."""

    outcome = "connection-lost"


class Idle(AssociationEnded):
    """Nothing was asked for too long."""

    outcome = "idle"
    abort = pdu.NOT_SPECIFIED
    hint = "The association was open and silent for idle_timeout_seconds. Let the sender release it."


class Silent(AssociationEnded):
    """The peer stopped in the middle of a PDU, or sent it too slowly to tell it from one that stopped."""

    outcome = "silent"
    abort = pdu.NOT_SPECIFIED
    hint = "The peer stopped inside a PDU for pdu_timeout_seconds, or sends some bytes a second. Look at its network."


class Stalled(AssociationEnded):
    """The peer stopped between two PDUs of one message."""

    outcome = "stalled"
    abort = pdu.NOT_SPECIFIED
    hint = "The peer stopped inside an object for dimse_timeout_seconds. Look at the sender."


class NotReading(AssociationEnded):
    """The peer does not read its answers."""

    outcome = "not-reading"
    hint = "The peer sends requests and never reads an answer. Mend the sender."


class Stopping(AssociationEnded):
    """This node is stopping."""

    outcome = "stopped"
    abort = pdu.NOT_SPECIFIED


class ProtocolBroken(AssociationEnded):
    """The peer sent what is no DICOM, or what may not stand here."""

    outcome = "protocol-error"
    abort: int | None = pdu.INVALID_PARAMETER
    hint = "The peer sent bytes that are no DICOM message. Its association ended; no other did."

    def __init__(self, outcome: str, abort: int | None = pdu.INVALID_PARAMETER, hint: str = hint) -> None:
        super().__init__(outcome)
        self.outcome, self.abort, self.hint = outcome, abort, hint
