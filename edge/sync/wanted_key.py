"""The key of a box that is not a node yet: kept before it asks, so that a lost answer or a restart loses nothing."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from edge.durable import sync_directory, write_durably
from edge.sync.identity import new_key, signing_request
from edge.sync.join_token import JoinToken

FOLDER = "enrolment"
KEY, TOKEN = "key.pem", "token.sha256"


def key_for(data_dir: Path, token: JoinToken) -> tuple[bytes, bytes]:
    """The key that asks with this token, and a certificate request of it: the same one each time."""
    folder, digest = data_dir / FOLDER, _digest(token)
    try:
        if (folder / TOKEN).read_bytes() == digest:
            key_pem = (folder / KEY).read_bytes()
            return key_pem, signing_request(key_pem)
    except (OSError, ValueError, TypeError):
        pass  # there is none, or none that can be used
    key_pem, csr_pem = new_key()
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    (folder / TOKEN).unlink(missing_ok=True)
    write_durably(folder / KEY, key_pem, mode=0o600)
    write_durably(folder / TOKEN, digest, mode=0o600)
    sync_directory(data_dir)
    return key_pem, csr_pem


def forget(data_dir: Path) -> None:
    """The key is the node's now, or of no use any more."""
    shutil.rmtree(data_dir / FOLDER, ignore_errors=True)


def _digest(token: JoinToken) -> bytes:
    return hashlib.sha256(f"{token.ca_sha256}.{token.token_id}.{token.secret}".encode()).hexdigest().encode()
