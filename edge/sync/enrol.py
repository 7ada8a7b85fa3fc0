"""How a box becomes a node: pin the CA, prove a key, keep what the control plane answers.

The token names the mesh's CA by its digest, so the first contact is sure of the other side before the secret travels:
the CA certificate is fetched without trust, its digest is checked, and only then is a verified connection made.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf import json_format

from edge.errors import EnrolmentError
from edge.sync import enrolment_errors as answers
from edge.sync.enrolment_http import HttpAnswer, HttpsDoor
from edge.sync.identity import NodeIdentity, key_fingerprint, key_matches, load_identity, save_identity
from edge.sync.join_token import JoinToken, read_token
from edge.sync.policy_store import PolicyStore
from edge.sync.recover import PASSING
from edge.sync.wanted_key import forget, key_for
from mesh.v1.enrolment_pb2 import EnrolPending, EnrolRequest, EnrolResponse

log = structlog.get_logger(__name__)

OVER = frozenset({"ENROLMENT_REJECTED", "ENROLMENT_EXPIRED"})
MOST_RETRY_SECONDS = 60
CLOCK_TOLERANCE = timedelta(minutes=30)
"""A node's certificate starts one hour before it is made; a clock further behind than that finds it not yet valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mesh:
    """The CA that the token named, and a door that trusts nothing else."""

    ca_pem: bytes
    door: HttpsDoor


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """This box asked; a person has to approve it."""

    request_id: str
    fingerprint: str
    """Of this box's own key, as two people read it to each other."""
    expires_at: datetime
    retry_seconds: int


def nobody_waits(waiting: Waiting) -> None:
    """Do not wait: end with what is to be done."""
    raise answers.waits_for_approval(waiting.request_id, waiting.fingerprint)


def enrol(
    data_dir: Path,
    token: str,
    node_name: str,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    wait: Callable[[Waiting], None] = nobody_waits,
) -> NodeIdentity:
    """Return only when this box is a node whose identity would survive a power cut.

    The token is bound to this box's key once the control plane answered; asking again with it is harmless. `wait` is
    called between two questions of a box that needs approval.

    Raises:
        EnrolmentError: with a code for the technician: TOKEN_MALFORMED, TOKEN_UNKNOWN, TOKEN_USED, TOKEN_EXPIRED,
            NAME_TAKEN, CA_PIN_MISMATCH, UNREACHABLE, CLOCK_SKEW, ALREADY_ENROLLED, WAITS_FOR_APPROVAL,
            ENROLMENT_REJECTED, ENROLMENT_EXPIRED, or REFUSED for anything else.
    """
    if (known := load_identity(data_dir)) is not None:
        raise answers.already_enrolled(known.node_id, known.site)
    parts = read_token(token)
    mesh = _meet(parts, now)
    key_pem, csr_pem = key_for(data_dir, parts)
    request = EnrolRequest(token_id=parts.token_id, token_secret=parts.secret, node_name=node_name, csr_pem=csr_pem)
    try:
        response = _ask(mesh.door, request, key_fingerprint(key_pem), wait)
    except EnrolmentError as error:
        if error.code in OVER:
            forget(data_dir)
        raise
    identity = _identity(response, node_name=node_name, key_pem=key_pem, ca_pem=mesh.ca_pem)
    _keep_first_policy(data_dir, identity, response)
    save_identity(data_dir, identity)
    forget(data_dir)
    log.info("enrolment.done", node=identity.node_id, site=identity.site)
    return identity


def _ask(door: HttpsDoor, request: EnrolRequest, fingerprint: str, wait: Callable[[Waiting], None]) -> EnrolResponse:
    """Ask until there is an end. Who waits already is not sent away by a bad road."""
    body, waiting = json_format.MessageToJson(request).encode(), None
    while True:
        try:
            answer = door.post_json("/api/v1/enrol", body)
        except EnrolmentError as error:
            if waiting is None or error.code != "UNREACHABLE":
                raise
        else:
            if answer.status == 202:
                waiting = _waiting(answer, fingerprint)
            elif waiting is None or answer.status not in PASSING:
                return _read_response(answer)
        wait(waiting)


def _waiting(answer: HttpAnswer, fingerprint: str) -> Waiting:
    try:
        message = json_format.Parse(answer.body, EnrolPending(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise answers.unreadable_answer() from error
    if message.key_fingerprint != fingerprint:
        raise answers.unreadable_answer()
    return Waiting(
        request_id=message.request_id,
        fingerprint="-".join(fingerprint[at : at + 4] for at in range(0, 20, 4)),
        expires_at=message.expires_at.ToDatetime(UTC),
        retry_seconds=min(max(1, message.retry_seconds), MOST_RETRY_SECONDS),
    )


def _meet(token: JoinToken, now: Callable[[], datetime]) -> _Mesh:
    """Learn the CA and be sure that it is the one which the token names."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    answer = HttpsDoor(token.control, unverified).get("/api/v1/mesh/ca.pem")
    if answer.status != 200:
        raise answers.not_a_control_plane(str(token.control), answer.status)
    pinned = _pinned(answer.body, token.ca_sha256)
    if pinned is None:
        raise answers.ca_pin_mismatch(str(token.control))
    _check_clock(answer, now())
    ca_pem = pinned.public_bytes(Encoding.PEM)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=ca_pem.decode("ascii"))
    return _Mesh(ca_pem=ca_pem, door=HttpsDoor(token.control, trusting))


def _pinned(pem: bytes, digest: str) -> x509.Certificate | None:
    try:
        bundle = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return None
    for certificate in bundle:
        if hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest() == digest:
            return certificate
    return None


def _check_clock(answer: HttpAnswer, here: datetime) -> None:
    """Refuse a clock so wrong that the new certificate would not be valid, before the token is spent."""
    try:
        there = parsedate_to_datetime(answer.date)
    except ValueError:
        return
    if there.tzinfo is not None and abs(here - there) > CLOCK_TOLERANCE:
        raise answers.clock_skew(here - there)


def _read_response(answer: HttpAnswer) -> EnrolResponse:
    if answer.status not in (200, 201):
        raise answers.refused(answer.status, answer.body)
    try:
        return json_format.Parse(answer.body, EnrolResponse(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise answers.unreadable_answer() from error


def _identity(response: EnrolResponse, *, node_name: str, key_pem: bytes, ca_pem: bytes) -> NodeIdentity:
    if not key_matches(key_pem, response.certificate_pem) or len(response.policy_public_key) != 32:
        raise answers.unreadable_answer()
    return NodeIdentity(
        node_id=response.node_id,
        site=response.site,
        node_name=node_name,
        grpc_endpoint=response.grpc_endpoint,
        mqtt_endpoint=response.mqtt_endpoint,
        https_endpoint=response.https_endpoint,
        policy_public_key=response.policy_public_key,
        certificate_pem=response.certificate_pem,
        ca_pem=response.ca_pem or ca_pem,
        key_pem=key_pem,
    )


def _keep_first_policy(data_dir: Path, identity: NodeIdentity, response: EnrolResponse) -> None:
    store = PolicyStore(data_dir, site=identity.site, public_key=identity.policy_public_key)
    if response.HasField("policy"):
        store.put_candidate(response.policy)
