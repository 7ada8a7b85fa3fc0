"""Knocks at an endpoint as this node would, and says how far it came. Sends no request."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from edge.sync.diagnosis import Finding
from edge.sync.endpoint import Endpoint, EndpointMalformed
from edge.sync.identity import NodeIdentity
from edge.sync.tls import client_context

TIMEOUT_SECONDS = 5.0

# RFC 9113, 3.4: what an HTTP/2 client says first. A server that takes our certificate answers it with SETTINGS.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

# X509_V_ERR_* of OpenSSL.
_VERIFY_FINDINGS = {
    9: Finding.SERVER_NOT_YET_VALID,
    10: Finding.SERVER_EXPIRED,
    62: Finding.SERVER_NAME_DIFFERS,
    64: Finding.SERVER_NAME_DIFFERS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """How far it came, and the system's own words."""

    finding: Finding
    detail: str = ""


def knock(identity: NodeIdentity, *, timeout: float = TIMEOUT_SECONDS) -> Knock:
    """Connect, shake hands, listen for one byte. Never raises."""
    try:
        endpoint = Endpoint.read(identity.grpc_endpoint)
    except EndpointMalformed as error:
        return Knock(finding=Finding.NAME_UNKNOWN, detail=str(error))
    try:
        context = client_context(identity)
    except (OSError, ValueError) as error:
        return Knock(finding=Finding.IDENTITY_UNUSABLE, detail=_reason(error))
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=timeout) as plain:
            return _shake_hands(context, plain, endpoint.host)
    except socket.gaierror as error:
        return Knock(finding=Finding.NAME_UNKNOWN, detail=_reason(error))
    except ConnectionRefusedError:
        return Knock(finding=Finding.REFUSED)
    except TimeoutError:
        return Knock(finding=Finding.TIMEOUT)
    except OSError as error:
        return Knock(finding=Finding.NO_ROUTE, detail=_reason(error))


def _shake_hands(context: ssl.SSLContext, plain: socket.socket, host: str) -> Knock:
    try:
        tls = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        finding = _VERIFY_FINDINGS.get(error.verify_code, Finding.SERVER_OF_ANOTHER_MESH)
        return Knock(finding=finding, detail=error.verify_message)
    except ssl.SSLError as error:
        # With TLS 1.2 a refusal of our certificate arrives inside the handshake.
        return Knock(finding=_alerted(error, Finding.NO_TLS), detail=_reason(error))
    except OSError as error:
        return Knock(finding=Finding.NO_TLS, detail=_reason(error))
    # With TLS 1.3 our side is done before the other has looked at our certificate: it refuses at the first read.
    try:
        with tls:
            tls.sendall(_PREFACE)
            answered = tls.recv(1)
    except TimeoutError:
        return Knock(finding=Finding.ANSWERS, detail="it says nothing")
    except ssl.SSLError as error:
        return Knock(finding=_alerted(error, Finding.WE_ARE_REFUSED), detail=_reason(error))
    except OSError as error:
        return Knock(finding=Finding.WE_ARE_REFUSED, detail=_reason(error))
    if answered:
        return Knock(finding=Finding.ANSWERS)
    return Knock(finding=Finding.WE_ARE_REFUSED, detail="it closed the connection")


def _alerted(error: ssl.SSLError, otherwise: Finding) -> Finding:
    return Finding.WE_ARE_REFUSED if "ALERT" in (error.reason or "") else otherwise


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
