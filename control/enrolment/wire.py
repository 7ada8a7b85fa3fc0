"""Enrolment on the wire (pure)."""

from __future__ import annotations

from control.enrolment.approvals import RequestFacts
from control.enrolment.service import Renewed
from mesh.v1 import enrolment_pb2

RETRY_SECONDS = 5


def renewal_message(renewed: Renewed) -> enrolment_pb2.RenewResponse:
    """A fresh certificate as a node gets it."""
    return enrolment_pb2.RenewResponse(
        certificate_pem=renewed.certificate_pem, ca_pem=renewed.ca_pem, https_endpoint=renewed.https_endpoint
    )


def pending_message(request: RequestFacts) -> enrolment_pb2.EnrolPending:
    """A box that waits, as it hears of it."""
    message = enrolment_pb2.EnrolPending(
        request_id=request.id, key_fingerprint=request.key_fingerprint, retry_seconds=RETRY_SECONDS
    )
    message.expires_at.FromDatetime(request.expires_at)
    return message
