"""The bytes that a policy signature covers: the same function on both sides of the wire."""

from __future__ import annotations

import hashlib

DOMAIN = b"skerry-policy-v1"


def policy_payload(*, site: str, generation: int, version: int, sha256: bytes) -> bytes:
    """Canonical bytes of one published policy, for Ed25519 (RFC 8032).

    The site and the order are inside, so a bundle of another site or an older place in the order cannot be replayed.

    Raises:
        ValueError: the digest is not 32 bytes, or the site name has a NUL.
    """
    if len(sha256) != 32:
        raise ValueError("a SHA-256 digest has 32 bytes")
    if "\0" in site:
        raise ValueError("a site name has no NUL")
    return b"\0".join((DOMAIN, site.encode(), b"%d.%d" % (generation, version), sha256.hex().encode()))


POOLS_DOMAIN = b"skerry-pools-v1"


def pools_payload(*, site: str, order: int, document: bytes) -> bytes:
    """Canonical bytes of one site's pools, for Ed25519 (RFC 8032).

    Raises:
        ValueError: the site name has a NUL.
    """
    if "\0" in site:
        raise ValueError("a site name has no NUL")
    return b"\0".join((POOLS_DOMAIN, site.encode(), b"%d" % order, hashlib.sha256(document).hexdigest().encode()))
