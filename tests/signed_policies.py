"""Signed policy bundles for tests."""

from __future__ import annotations

import hashlib

from mesh.signing import policy_payload
from mesh.v1.common_pb2 import PolicyBundle, PolicyVersion
from tests.certificates import MeshAuthority


def bundle(
    mesh: MeshAuthority, version: int, *, generation: int = 1, site: str = "north", text: str | None = None
) -> PolicyBundle:
    """A policy of this mesh for `site`, properly signed."""
    document = (text or f"skerry: 1\n# version {version}\n").encode()
    digest = hashlib.sha256(document).digest()
    payload = policy_payload(site=site, generation=generation, version=version, sha256=digest)
    return PolicyBundle(
        site=site,
        version=PolicyVersion(generation=generation, version=version),
        document=document,
        sha256=digest,
        signature=mesh.policy_key.sign(payload),
    )
