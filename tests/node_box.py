"""A box that enrols and speaks to the control plane with the bare wire: what a node is, seen from the centre."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import json_format

from mesh.v1 import enrolment_pb2, enrolment_pb2_grpc, sync_pb2_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxKey:
    """A key pair and a request for a certificate."""

    key_pem: bytes
    csr_pem: bytes


def new_box_key(common_name: str = "whatever the box likes") -> BoxKey:
    """What a box makes before it enrols. It may claim any name: the centre ignores it."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://evil/site/x/node/y")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return BoxKey(
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        csr_pem=csr.public_bytes(serialization.Encoding.PEM),
    )


def token_parts(token: str) -> tuple[str, str]:
    """The id and the secret."""
    _, _, token_id, secret = token.rsplit(".", 3)
    return token_id, secret


def enrol_body(token: str, *, name: str, csr_pem: bytes) -> str:
    """An EnrolRequest as protobuf JSON."""
    token_id, secret = token_parts(token)
    message = enrolment_pb2.EnrolRequest(token_id=token_id, token_secret=secret, node_name=name, csr_pem=csr_pem)
    return json_format.MessageToJson(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node with its certificate."""

    answer: enrolment_pb2.EnrolResponse
    key_pem: bytes

    def channel(self, *, certificate_pem: bytes | None = None, key_pem: bytes | None = None) -> grpc.Channel:
        """A channel to the nodes' door."""
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.answer.ca_pem,
            private_key=key_pem or self.key_pem,
            certificate_chain=certificate_pem or self.answer.certificate_pem,
        )
        return grpc.secure_channel(self.answer.grpc_endpoint, credentials)

    def sync(self) -> sync_pb2_grpc.EdgeSyncStub:
        """The EdgeSync service."""
        return sync_pb2_grpc.EdgeSyncStub(self.channel())

    def identity(self) -> enrolment_pb2_grpc.IdentityStub:
        """The Identity service."""
        return enrolment_pb2_grpc.IdentityStub(self.channel())


def enrol_box(api: httpx2.Client, site: str, name: str) -> Box:
    """A fresh node of a site."""
    token = api.post(f"/api/v1/sites/{site}/tokens").raise_for_status().json()["token"]
    made = new_box_key()
    answer = api.post("/api/v1/enrol", content=enrol_body(token, name=name, csr_pem=made.csr_pem)).raise_for_status()
    return Box(answer=json_format.Parse(answer.content, enrolment_pb2.EnrolResponse()), key_pem=made.key_pem)
