"""The mesh's certificate authority: what it signs and for how long. Reads and writes no file.

ECDSA P-256 throughout (RFC 5280 profile): a root of 10 years, node certificates of 30 days, server ones of 90.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control.errors import InvalidCsr

CA_LIFE = timedelta(days=3653)
NODE_LIFE = timedelta(days=30)
SERVER_LIFE = timedelta(days=90)
BACKDATED = timedelta(hours=1)
"""Certificates begin in the past: a node whose clock is slow must be able to use its own at once."""
MAX_CSR_BYTES = 16 * 1024

SPIFFE_SCHEME = "spiffe://"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeName:
    """Who a node certificate speaks for: its URI SAN."""

    mesh: str
    site: str
    node_id: str

    def uri(self) -> str:
        """As it stands in the certificate."""
        return f"{SPIFFE_SCHEME}{self.mesh}/site/{self.site}/node/{self.node_id}"


def read_node_uri(uri: str) -> NodeName | None:
    """The node that a URI SAN names, or None for any other URI."""
    mesh, *path = uri.removeprefix(SPIFFE_SCHEME).split("/")
    if not uri.startswith(SPIFFE_SCHEME) or len(path) != 4 or (path[0], path[2]) != ("site", "node"):
        return None
    return NodeName(mesh=mesh, site=path[1], node_id=path[3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A signed certificate."""

    pem: bytes
    ends: datetime
    key_fingerprint: str


class Authority:
    """Signs certificates of one mesh."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @property
    def mesh(self) -> str:
        """The mesh's id: the trust domain in every identity."""
        names = self._certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0].removeprefix(SPIFFE_SCHEME)

    @property
    def pem(self) -> bytes:
        """The CA certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """SHA-256 of the CA certificate's DER, hex: what an enrolment token carries."""
        return hashlib.sha256(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def sign_node(self, csr: x509.CertificateSigningRequest, name: NodeName, now: datetime) -> Issued:
        """A client certificate for the key in the request. Subject and names in the request are ignored."""
        key = csr.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)  # read_csr lets no other through
        builder = (
            _builder(name.node_id, key, now, NODE_LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name.uri())]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        return self._sign(builder, key)

    def sign_server(self, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], now: datetime) -> Issued:
        """A server certificate for these host names and addresses."""
        names = [_general_name(host) for host in dict.fromkeys(hosts)]
        builder = (
            _builder(hosts[0][:64], key, now, SERVER_LIFE)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        return self._sign(builder, key)

    def sign_service(self, key: ec.EllipticCurvePublicKey, service: str, now: datetime) -> Issued:
        """A client certificate for a part of the control plane itself. Names no node: opens no door of nodes."""
        uri = f"{SPIFFE_SCHEME}{self.mesh}/{service}"
        builder = (
            _builder(service, key, now, SERVER_LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        return self._sign(builder, key)

    def _sign(self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePublicKey) -> Issued:
        issuer = self._certificate
        subject_key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            builder.issuer_name(issuer.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key_id), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return Issued(
            pem=certificate.public_bytes(serialization.Encoding.PEM),
            ends=certificate.not_valid_after_utc,
            key_fingerprint=fingerprint(key),
        )


def new_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """The root certificate of a new mesh."""
    mesh = secrets.token_hex(6)
    public = key.public_key()
    return (
        _builder(f"Skerry mesh {mesh}", public, now, CA_LIFE)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Skerry mesh {mesh}")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{SPIFFE_SCHEME}{mesh}")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def read_csr(pem: bytes) -> x509.CertificateSigningRequest:
    """A request that proves possession of a P-256 key.

    Raises:
        InvalidCsr: it is no PKCS#10 PEM, its signature is wrong, or its key is of another kind.
    """
    if len(pem) > MAX_CSR_BYTES:
        raise InvalidCsr
    try:
        csr = x509.load_pem_x509_csr(pem)
        genuine = csr.is_signature_valid
        key = csr.public_key()
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
        raise InvalidCsr from None
    if not genuine:
        raise InvalidCsr("The certificate signing request is not signed with its own key.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidCsr("The key in the certificate signing request is not ECDSA P-256.")
    return csr


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key, hex."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def proven_key(csr: x509.CertificateSigningRequest) -> str:
    """The fingerprint of the key whose possession a request of `read_csr` proves."""
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # `read_csr` lets no other one pass
    return fingerprint(key)


def _builder(
    common_name: str, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
