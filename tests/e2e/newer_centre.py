"""A control plane of a later version, as an older node meets it: it publishes what the node cannot run."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mesh.signing import policy_payload

DOCUMENT = b"""\
skerry: 1
destinations:
  - {name: away, kind: teleport, host: 10.0.0.5}
routes:
  - {name: everything, to: [away]}
"""


def publish_what_this_version_cannot_run(data_dir: Path, *, site: str) -> None:
    """Write it into the stopped control plane's database, signed with its own key, as its next version would."""
    key = load_pem_private_key((data_dir / "ca" / "policy-key.pem").read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    digest = hashlib.sha256(DOCUMENT).digest()
    (database,) = data_dir.glob("*.db")
    with sqlite3.connect(database) as connection:
        site_id, generation, version = connection.execute(
            "SELECT s.id, a.generation, (SELECT MAX(version) FROM policy_revision r WHERE r.site_id = s.id)"
            " FROM site s JOIN policy_active a ON a.site_id = s.id WHERE s.name = ?",
            (site,),
        ).fetchone()
        payload = policy_payload(site=site, generation=generation, version=version + 1, sha256=digest)
        now = time.time_ns() // 1000
        connection.execute(
            "INSERT INTO policy_revision (site_id, version, document, sha256, created_at, created_by)"
            " VALUES (?, ?, ?, ?, ?, 'user:admin')",
            (site_id, version + 1, DOCUMENT, digest, now),
        )
        connection.execute(
            "UPDATE policy_active SET version = ?, signature = ?, published_at = ? WHERE site_id = ?",
            (version + 1, key.sign(payload), now, site_id),
        )
