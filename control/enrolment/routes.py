"""REST of enrolment: tokens for people, the door for boxes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from google.protobuf import json_format

from control import metrics
from control.auth import SiteAdmin
from control.enrolment.schemas import TokenItem, TokenRequest
from control.enrolment.service import Enrolled, EnrolmentService
from control.errors import ControlError, TokenMalformed, TokenRefused
from control.injection import provided
from control.limits import AttemptLimiter
from control.policies.wire import bundle_message
from mesh.v1 import enrolment_pb2

router = APIRouter(tags=["enrolment"])
Enrolment = Annotated[EnrolmentService, Depends(provided(EnrolmentService))]

MAX_ENROL_BYTES = 64 * 1024


class EnrolLimiter(AttemptLimiter):
    """The brake on guessing tokens."""


Brake = Annotated[EnrolLimiter, Depends(provided(EnrolLimiter))]


@router.post("/sites/{site}/tokens", status_code=201, operation_id="create_token")
async def create_token(
    caller: SiteAdmin, enrolment: Enrolment, site: str, body: TokenRequest | None = None
) -> TokenItem:
    """A token that lets one box into a site, once."""
    life = timedelta(hours=(body or TokenRequest()).hours)
    made = await enrolment.create_token(site, actor=caller.actor, life=life)
    return TokenItem(token=made.text, expires_at=made.expires_at)


@router.get("/mesh/ca.pem", operation_id="get_ca", response_class=Response)
async def get_ca(enrolment: Enrolment) -> Response:
    """The mesh's CA certificate. Public: a box checks it against the pin in its token."""
    return Response(enrolment.ca_pem, media_type="application/x-pem-file")


@router.post("/enrol", operation_id="enrol_node", response_class=Response)
async def enrol_node(request: Request, enrolment: Enrolment, brake: Brake) -> Response:
    """A token and a signing request in, a certificate out: EnrolRequest and EnrolResponse as protobuf JSON."""
    address = request.client.host if request.client else ""
    brake.check(address)
    message = enrolment_pb2.EnrolRequest()
    try:
        message = await _read(request)
        enrolled = await enrolment.enrol(
            token_id=message.token_id,
            token_secret=message.token_secret,
            node_name=message.node_name,
            csr_pem=message.csr_pem,
        )
    except ControlError as error:
        metrics.ENROLMENTS.labels(error.code).inc()
        if brake.failed(address) and isinstance(error, TokenRefused):
            await enrolment.note_refusal(message.token_id, error, address=address)
        raise
    metrics.ENROLMENTS.labels("enrolled").inc()
    answer = json_format.MessageToJson(_response(enrolled), preserving_proto_field_name=True)
    return Response(answer, media_type="application/json")


async def _read(request: Request) -> enrolment_pb2.EnrolRequest:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_ENROL_BYTES:
            raise TokenMalformed("The enrolment request is too large.")
    try:
        return json_format.Parse(bytes(body), enrolment_pb2.EnrolRequest(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError):
        raise TokenMalformed("The enrolment request is not an EnrolRequest as protobuf JSON.") from None


def _response(enrolled: Enrolled) -> enrolment_pb2.EnrolResponse:
    return enrolment_pb2.EnrolResponse(
        node_id=enrolled.node_id,
        site=enrolled.site,
        certificate_pem=enrolled.certificate_pem,
        ca_pem=enrolled.ca_pem,
        policy_public_key=enrolled.policy_public_key,
        grpc_endpoint=enrolled.endpoints.grpc,
        mqtt_endpoint=enrolled.endpoints.mqtt,
        policy=bundle_message(enrolled.policy) if enrolled.policy is not None else None,
    )
