"""REST of enrolment: tokens for people, the door for boxes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from google.protobuf import json_format
from google.protobuf.message import Message

from control import metrics
from control.auth import SiteAdmin
from control.enrolment.approvals import RequestFacts
from control.enrolment.schemas import TokenItem, TokenRequest
from control.enrolment.service import Enrolled, EnrolmentService
from control.enrolment.wire import pending_message, renewal_message
from control.errors import ControlError, InvalidCsr, TokenMalformed, TokenRefused
from control.injection import provided
from control.limits import AttemptLimiter
from control.policies.wire import bundle_message
from mesh.v1 import enrolment_pb2

router = APIRouter(tags=["enrolment"])
Enrolment = Annotated[EnrolmentService, Depends(provided(EnrolmentService))]

MAX_ENROL_BYTES = 64 * 1024
WAITS: dict[str, Any] = {"description": "A person has to approve the box: EnrolPending as protobuf JSON."}


class EnrolLimiter(AttemptLimiter):
    """The brake on guessing tokens."""


Brake = Annotated[EnrolLimiter, Depends(provided(EnrolLimiter))]


@router.post("/sites/{site}/tokens", status_code=201, operation_id="create_token")
async def create_token(
    caller: SiteAdmin, enrolment: Enrolment, site: str, body: TokenRequest | None = None
) -> TokenItem:
    """A token that lets one box into a site, once."""
    wanted = body or TokenRequest()
    made = await enrolment.create_token(
        site, actor=caller.actor, life=timedelta(hours=wanted.hours), needs_approval=wanted.needs_approval
    )
    return TokenItem(token=made.text, expires_at=made.expires_at, needs_approval=made.needs_approval)


@router.get("/mesh/ca.pem", operation_id="get_ca", response_class=Response)
async def get_ca(enrolment: Enrolment) -> Response:
    """The mesh's CA certificate. Public: a box checks it against the pin in its token."""
    return Response(enrolment.ca_pem, media_type="application/x-pem-file")


@router.post("/enrol", operation_id="enrol_node", response_class=Response, responses={202: WAITS})
async def enrol_node(request: Request, enrolment: Enrolment, brake: Brake) -> Response:
    """A token and a signing request in, a certificate out: EnrolRequest and EnrolResponse as protobuf JSON.

    202 and EnrolPending while a person has to approve the box. The same token and key may ask again.
    """
    address = request.client.host if request.client else ""
    brake.check(address)
    message = enrolment_pb2.EnrolRequest()
    try:
        await _read(request, message, TokenMalformed)
        enrolled = await enrolment.enrol(
            token_id=message.token_id,
            token_secret=message.token_secret,
            node_name=message.node_name,
            csr_pem=message.csr_pem,
            address=address,
        )
    except ControlError as error:
        metrics.ENROLMENTS.labels(error.code).inc()
        if brake.failed(address) and isinstance(error, TokenRefused):
            await enrolment.note_refusal(message.token_id, error, address=address)
        raise
    if isinstance(enrolled, RequestFacts):
        metrics.ENROLMENTS.labels("waiting").inc()
        waits = json_format.MessageToJson(pending_message(enrolled), preserving_proto_field_name=True)
        return Response(waits, status_code=202, media_type="application/json")
    metrics.ENROLMENTS.labels("enrolled").inc()
    answer = json_format.MessageToJson(_response(enrolled), preserving_proto_field_name=True)
    return Response(answer, media_type="application/json")


@router.post("/recover", operation_id="recover_node", response_class=Response)
async def recover_node(request: Request, enrolment: Enrolment, brake: Brake) -> Response:
    """A fresh certificate for a node whose own has ended: RecoverRequest and RenewResponse as protobuf JSON.

    The signing request is of the key that was bound to the node. A revoked node gets none.
    """
    address = request.client.host if request.client else ""
    brake.check(address)
    try:
        message = enrolment_pb2.RecoverRequest()
        await _read(request, message, InvalidCsr)
        renewed = await enrolment.recover(message.node_id, message.csr_pem)
    except ControlError:
        brake.failed(address)
        raise
    answer = json_format.MessageToJson(renewal_message(renewed), preserving_proto_field_name=True)
    return Response(answer, media_type="application/json")


async def _read(request: Request, message: Message, wrong: type[ControlError]) -> None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_ENROL_BYTES:
            raise wrong("The request is too large.")
    try:
        json_format.Parse(bytes(body), message, ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError):
        raise wrong(f"The request is not a {message.DESCRIPTOR.name} as protobuf JSON.") from None


def _response(enrolled: Enrolled) -> enrolment_pb2.EnrolResponse:
    return enrolment_pb2.EnrolResponse(
        node_id=enrolled.node_id,
        site=enrolled.site,
        certificate_pem=enrolled.certificate_pem,
        ca_pem=enrolled.ca_pem,
        policy_public_key=enrolled.policy_public_key,
        grpc_endpoint=enrolled.endpoints.grpc,
        mqtt_endpoint=enrolled.endpoints.mqtt,
        https_endpoint=enrolled.endpoints.https,
        policy=bundle_message(enrolled.policy) if enrolled.policy is not None else None,
    )
