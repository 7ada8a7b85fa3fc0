"""Who this node is: its key, its certificate, the mesh that it belongs to.

One identity is one folder, `DATA_DIR/identity.<serial>/`, complete before anyone can see it; `DATA_DIR/identity` is a
symbolic link to the one in use. A key and its certificate are therefore never mixed, whenever the power goes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.durable import sync_directory, write_durably
from edge.errors import EdgeError

LINK_NAME = "identity"


class IdentityDamaged(EdgeError):
    """The identity on disk cannot be used."""

    hint = "Move DATA_DIR/identity away and enrol this node again with a new token. Images are not affected."


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """A node of a mesh, with everything that it needs to prove it. The key is never printed."""

    node_id: str
    site: str
    node_name: str
    grpc_endpoint: str
    """HOST:PORT."""
    mqtt_endpoint: str
    """HOST:PORT, empty when the mesh has no broker."""
    https_endpoint: str = ""
    """HOST:PORT where a node whose certificate has ended proves its key; empty: not told yet."""
    policy_public_key: bytes
    """Ed25519, 32 raw bytes: only policies signed by its other half may run here."""
    certificate_pem: bytes = field(repr=False)
    """Leaf first, then the issuing chain."""
    ca_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The leaf."""
        return x509.load_pem_x509_certificate(self.certificate_pem)

    @property
    def valid_from(self) -> datetime:
        """First moment of the certificate, aware UTC."""
        return self.certificate.not_valid_before_utc

    @property
    def valid_until(self) -> datetime:
        """Last moment of the certificate, aware UTC."""
        return self.certificate.not_valid_after_utc

    def renew_at(self) -> datetime:
        """When a third of the certificate's life has passed: early enough that a long outage finds it valid."""
        life: timedelta = self.valid_until - self.valid_from
        return self.valid_from + life / 3

    def renewed(
        self, *, key_pem: bytes, certificate_pem: bytes, ca_pem: bytes, https_endpoint: str = ""
    ) -> NodeIdentity:
        """The same node with a new certificate, and perhaps a new key."""
        return replace(
            self,
            key_pem=key_pem,
            certificate_pem=certificate_pem,
            ca_pem=ca_pem or self.ca_pem,
            https_endpoint=https_endpoint or self.https_endpoint,
        )

    def signing_request(self) -> bytes:
        """A certificate request (RFC 2986) of the key that this node has: it proves its possession."""
        return signing_request(self.key_pem)


def new_key() -> tuple[bytes, bytes]:
    """A fresh P-256 key as PKCS#8 PEM, and a certificate request (RFC 2986) that proves its possession.

    The request names nobody: the control plane decides who the node is.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, signing_request(key_pem)


def signing_request(key_pem: bytes) -> bytes:
    """A certificate request (RFC 2986) of a P-256 key. Raises ValueError or TypeError when it is none."""
    key = serialization.load_pem_private_key(key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an elliptic curve key")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def key_fingerprint(key_pem: bytes) -> str:
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER), hex."""
    public = serialization.load_pem_private_key(key_pem, None).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def key_matches(key_pem: bytes, certificate_pem: bytes) -> bool:
    """Whether the certificate is of this key. False also for anything that is not a key or a certificate."""
    try:
        public = serialization.load_pem_private_key(key_pem, None).public_key()
        return public == x509.load_pem_x509_certificate(certificate_pem).public_key()
    except (ValueError, TypeError):
        return False


def load_identity(data_dir: Path) -> NodeIdentity | None:
    """The node's identity, or None when this box was never enrolled.

    Raises:
        IdentityDamaged: there is one, but a file is missing, unreadable or of another key.
    """
    folder = data_dir / LINK_NAME
    if not folder.exists():
        if folder.is_symlink():
            raise IdentityDamaged(f"{folder} points at a folder that is not there.")
        return None
    try:
        identity = _read_current(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IdentityDamaged(f"The identity in {folder} cannot be read: {error}") from error
    if not key_matches(identity.key_pem, identity.certificate_pem):
        raise IdentityDamaged(f"The key in {folder} is not the key of the certificate beside it.")
    return identity


def _read_current(link: Path) -> NodeIdentity:
    """What `link` points at. A renewal that takes the folder away meanwhile is followed to the new one."""
    while True:
        # Resolved once for all files, so that a renewal in between cannot mix two identities.
        folder = link.resolve(strict=True)
        try:
            return _read(folder)
        except FileNotFoundError:
            if link.resolve() == folder:
                raise


def _read(folder: Path) -> NodeIdentity:
    facts = json.loads((folder / "node.json").read_text("utf-8"))
    return NodeIdentity(
        node_id=str(facts["node_id"]),
        site=str(facts["site"]),
        node_name=str(facts["node_name"]),
        grpc_endpoint=str(facts["grpc_endpoint"]),
        mqtt_endpoint=str(facts["mqtt_endpoint"]),
        https_endpoint=str(facts.get("https_endpoint", "")),
        policy_public_key=bytes.fromhex(facts["policy_public_key"]),
        certificate_pem=(folder / "certificate.pem").read_bytes(),
        ca_pem=(folder / "ca.pem").read_bytes(),
        key_pem=(folder / "key.pem").read_bytes(),
    )


def save_identity(data_dir: Path, identity: NodeIdentity) -> None:
    """Make `identity` the one in use; it survives a power cut when this returns, and the old one until then."""
    adopt_identity(data_dir, write_identity(data_dir, identity))


def write_identity(data_dir: Path, identity: NodeIdentity) -> Path:
    """Write `identity` to a folder of its own without using it yet: the candidate of a renewal."""
    data_dir.mkdir(parents=True, exist_ok=True)
    # Named by its certificate, so that writing the same candidate twice is one folder.
    name = hashlib.sha256(identity.certificate_pem).hexdigest()[:16]
    folder = data_dir / f"{LINK_NAME}.{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = {
        "node_id": identity.node_id,
        "site": identity.site,
        "node_name": identity.node_name,
        "grpc_endpoint": identity.grpc_endpoint,
        "mqtt_endpoint": identity.mqtt_endpoint,
        "https_endpoint": identity.https_endpoint,
        "policy_public_key": identity.policy_public_key.hex(),
    }
    write_durably(folder / "key.pem", identity.key_pem, mode=0o600)
    write_durably(folder / "certificate.pem", identity.certificate_pem)
    write_durably(folder / "ca.pem", identity.ca_pem)
    write_durably(folder / "node.json", json.dumps(facts, indent=2).encode())
    sync_directory(data_dir)
    return folder


def adopt_identity(data_dir: Path, folder: Path) -> None:
    """Point at `folder` in one step, then remove the folders that nothing points at any more."""
    link = data_dir / LINK_NAME
    if link.is_dir() and not link.is_symlink():
        # A folder that was copied here by hand: keep it, a person may want it back.
        link.rename(data_dir / f"{LINK_NAME}-replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    aside = data_dir / f".{LINK_NAME}.new"
    aside.unlink(missing_ok=True)
    aside.symlink_to(folder.name)
    aside.replace(link)
    sync_directory(data_dir)
    for other in data_dir.glob(f"{LINK_NAME}.*"):
        if other.is_dir() and other.name != folder.name:
            shutil.rmtree(other, ignore_errors=True)
