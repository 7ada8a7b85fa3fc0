"""The authority's keys on disk: `DATA_DIR/ca/`. They appear all together or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from control.enrolment.ca import Authority, new_authority
from control.errors import SettingsError

CA_KEY = "ca-key.pem"
CA_CERTIFICATE = "ca.pem"
POLICY_KEY = "policy-key.pem"
PASSPHRASE_FILE_VARIABLE = "SKERRY_CA_PASSPHRASE_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshKeys:
    """The two secrets of a mesh: one signs certificates, the other signs policies."""

    authority: Authority
    policy_key: ed25519.Ed25519PrivateKey

    @property
    def policy_public_key(self) -> bytes:
        """32 raw bytes, which nodes pin."""
        return self.policy_key.public_key().public_bytes_raw()


def read_passphrase(path: Path | None) -> bytes | None:
    """The passphrase in a file, without the newline at its end; None without a file.

    Raises:
        SettingsError: the file cannot be read, or is empty.
    """
    if path is None:
        return None
    try:
        passphrase = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SettingsError(f"The file in {PASSPHRASE_FILE_VARIABLE} cannot be read: {error.strerror}.") from None
    if not passphrase:
        raise SettingsError(f"The file in {PASSPHRASE_FILE_VARIABLE} is empty.")
    return passphrase


def load_or_create(folder: Path, passphrase: bytes | None, now: datetime) -> MeshKeys:
    """The keys of this mesh; made on the first start.

    Raises:
        SettingsError: the keys are there and cannot be read.
    """
    if not folder.exists():
        _create(folder, passphrase, now)
    return load(folder, passphrase)


def load(folder: Path, passphrase: bytes | None) -> MeshKeys:
    """The keys of this mesh.

    Raises:
        SettingsError: they are missing, damaged, or locked with another passphrase.
    """
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
        ca_key = _load_key(folder / CA_KEY, passphrase)
        policy_key = _load_key(folder / POLICY_KEY, passphrase)
    except OSError as error:
        raise SettingsError(
            f"The mesh's key file {error.filename} cannot be read: {error.strerror}.",
            hint="Restore the `ca` folder from a backup: without it the nodes cannot be reached again.",
        ) from None
    except (ValueError, TypeError):
        raise SettingsError(
            "The mesh's keys cannot be opened: damaged, or locked with another passphrase.",
            hint=f"Put the right passphrase into the file that {PASSPHRASE_FILE_VARIABLE} names.",
        ) from None
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or ca_key.public_key() != certificate.public_key():
        raise SettingsError("The mesh's key and certificate do not belong together.")
    if not isinstance(policy_key, ed25519.Ed25519PrivateKey):
        raise SettingsError("The mesh's policy key is not an Ed25519 key.")
    return MeshKeys(authority=Authority(ca_key, certificate), policy_key=policy_key)


def _load_key(path: Path, passphrase: bytes | None) -> object:
    pem = path.read_bytes()
    # A passphrase for a key without one is an error in the library, and an upgrade path for people.
    return serialization.load_pem_private_key(pem, passphrase if b"ENCRYPTED" in pem else None)


def _create(folder: Path, passphrase: bytes | None, now: datetime) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    policy_key = ed25519.Ed25519PrivateKey.generate()
    aside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700, parents=True)
    write_durably(aside / CA_KEY, private_pem(ca_key, passphrase), mode=0o600)
    write_durably(aside / POLICY_KEY, private_pem(policy_key, passphrase), mode=0o600)
    certificate = new_authority(ca_key, now)
    write_durably(aside / CA_CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    _sync_folder(aside)
    aside.rename(folder)
    _sync_folder(folder.parent)


def private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, passphrase: bytes | None = None) -> bytes:
    """A private key as PKCS#8 PEM, encrypted when there is a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption(),
    )


def write_durably(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file with these permissions from its first byte on, and sync it."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
