"""A mesh's certificates for tests: a CA, servers, nodes, and every way in which they can be wrong."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.sync.identity import NodeIdentity

MESH = "0123abcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A key with its certificate, PEM."""

    key_pem: bytes
    certificate_pem: bytes


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class MeshAuthority:
    """A certificate authority with a policy-signing key: what one control plane owns."""

    def __init__(self, name: str = "mesh ca") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        self.policy_key = Ed25519PrivateKey.generate()
        now = datetime.now(UTC)
        builder = self._builder(self._subject, self._key.public_key(), now - timedelta(days=1), timedelta(days=3650))
        self._certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
            self._key, hashes.SHA256()
        )
        self.ca_pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """What a token carries: SHA-256 of the CA's DER."""
        return self._certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def policy_public_key(self) -> bytes:
        """32 raw bytes."""
        return self.policy_key.public_key().public_bytes_raw()

    def server(
        self, *, host: str = "localhost", begins: timedelta = timedelta(hours=-1), life: timedelta = timedelta(days=90)
    ) -> Issued:
        """A server certificate for `host` and 127.0.0.1; `begins` is relative to now."""
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return self._issue("control", names, ExtendedKeyUsageOID.SERVER_AUTH, begins, life)

    def client(
        self,
        *,
        node_id: str = "node-1",
        site: str = "north",
        begins: timedelta = timedelta(hours=-1),
        life: timedelta = timedelta(days=30),
    ) -> Issued:
        """A node's certificate with its own key."""
        return self._issue(node_id, [_spiffe(site, node_id)], ExtendedKeyUsageOID.CLIENT_AUTH, begins, life)

    def sign_request(
        self, csr_pem: bytes, *, node_id: str = "node-1", site: str = "north", life: timedelta = timedelta(days=30)
    ) -> bytes:
        """A node's certificate for the key of a request; who it is stands not in the request."""
        request = x509.load_pem_x509_csr(csr_pem)
        assert request.is_signature_valid
        public = request.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        names: list[x509.GeneralName] = [_spiffe(site, node_id)]
        begins = datetime.now(UTC) - timedelta(hours=1)
        return self._sign(public, node_id, names, ExtendedKeyUsageOID.CLIENT_AUTH, begins, life)

    def identity(
        self,
        *,
        grpc_endpoint: str = "127.0.0.1:1",
        mqtt_endpoint: str = "",
        node_id: str = "node-1",
        site: str = "north",
        issued: Issued | None = None,
        ca_pem: bytes | None = None,
    ) -> NodeIdentity:
        """A node of this mesh."""
        issued = issued or self.client(node_id=node_id, site=site)
        return NodeIdentity(
            node_id=node_id,
            site=site,
            node_name=f"{node_id} by name",
            grpc_endpoint=grpc_endpoint,
            mqtt_endpoint=mqtt_endpoint,
            policy_public_key=self.policy_public_key,
            certificate_pem=issued.certificate_pem,
            ca_pem=ca_pem or self.ca_pem,
            key_pem=issued.key_pem,
        )

    def _issue(
        self,
        common_name: str,
        names: list[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        begins: timedelta,
        life: timedelta,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self._sign(key.public_key(), common_name, names, usage, datetime.now(UTC) + begins, life)
        return Issued(key_pem=_key_pem(key), certificate_pem=pem)

    def _sign(
        self,
        public: ec.EllipticCurvePublicKey,
        common_name: str,
        names: list[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        begins: datetime,
        life: timedelta,
    ) -> bytes:
        builder = self._builder(_name(common_name), public, begins, life)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, begins: datetime, life: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + life)
        )


def _spiffe(site: str, node_id: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(f"spiffe://{MESH}/site/{site}/node/{node_id}")
