"""The control plane's own certificates in `DATA_DIR/tls/`: made at every start, and again before they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from control.enrolment.ca import Authority, Issued
from control.enrolment.ca_files import private_pem, write_durably

LOCAL_HOSTS = ("127.0.0.1", "localhost")
RENEW_BEFORE_END = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCertificate:
    """A certificate and its key, as files and as bytes."""

    certificate_file: Path
    key_file: Path
    certificate_pem: bytes
    key_pem: bytes
    ends: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether it is time for a new one."""
        return self.ends - now < RENEW_BEFORE_END


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCertificates:
    """What this control plane shows to others."""

    ca_file: Path
    server: OwnCertificate
    """For the HTTPS and gRPC listeners."""
    client: OwnCertificate
    """For the broker: common name `control`."""


def issue_own(folder: Path, authority: Authority, public_host: str, now: datetime) -> OwnCertificates:
    """Fresh certificates with fresh keys, in this folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_file = folder / "ca.pem"
    write_durably(ca_file, authority.pem, mode=0o644)
    return OwnCertificates(
        ca_file=ca_file,
        server=issue_server(folder, "server", authority, (public_host, *LOCAL_HOSTS), now),
        client=_issue(folder, "client", lambda key: authority.sign_service(key, "control", now)),
    )


def issue_server(folder: Path, name: str, authority: Authority, hosts: Sequence[str], now: datetime) -> OwnCertificate:
    """A server certificate as `NAME.pem` and `NAME-key.pem` in this folder."""
    return _issue(folder, name, lambda key: authority.sign_server(key, hosts, now))


def _issue(folder: Path, name: str, sign: Callable[[ec.EllipticCurvePublicKey], Issued]) -> OwnCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = sign(key.public_key())
    key_pem = private_pem(key)
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}-key.pem"
    write_durably(key_file, key_pem, mode=0o600)
    write_durably(certificate_file, issued.pem, mode=0o644)
    return OwnCertificate(
        certificate_file=certificate_file,
        key_file=key_file,
        certificate_pem=issued.pem,
        key_pem=key_pem,
        ends=issued.ends,
    )
