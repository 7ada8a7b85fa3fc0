"""A node that was away for longer than its certificate lived gets a new one for the key that is bound to it."""

from __future__ import annotations

import json
import ssl

from google.protobuf import json_format

from edge.errors import EnrolmentError, UplinkRefused, UplinkUnreachable
from edge.sync.endpoint import Endpoint, EndpointMalformed
from edge.sync.enrolment_http import HttpsDoor
from edge.sync.identity import NodeIdentity
from mesh.v1.enrolment_pb2 import RecoverRequest, RenewResponse

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


def recover(identity: NodeIdentity) -> RenewResponse:
    """Ask for a certificate where TLS asks for none of ours.

    Raises:
        UplinkUnreachable: there was no answer, or one that passes with time.
        UplinkRefused: the control plane does not know this key any more, or the node was revoked.
    """
    try:
        endpoint = Endpoint.read(identity.https_endpoint)
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.load_verify_locations(cadata=identity.ca_pem.decode("ascii"))
        request = RecoverRequest(node_id=identity.node_id, csr_pem=identity.signing_request())
        answer = HttpsDoor(endpoint, trusting).post_json("/api/v1/recover", json_format.MessageToJson(request).encode())
    except (EndpointMalformed, EnrolmentError, ssl.SSLError, ValueError) as error:
        raise UplinkUnreachable(f"no new certificate: {error}") from error
    if answer.status in PASSING:
        raise UplinkUnreachable(f"no new certificate: HTTP {answer.status}")
    if answer.status != 200:
        raise UplinkRefused(f"no new certificate: {_detail(answer.body) or f'HTTP {answer.status}'}")
    try:
        return json_format.Parse(answer.body, RenewResponse(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise UplinkUnreachable("no new certificate: the answer cannot be read") from error


def _detail(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except ValueError:
        return ""
    return str(problem.get("detail", ""))[:300] if isinstance(problem, dict) else ""
