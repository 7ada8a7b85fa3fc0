"""Whether pools are this mesh's and this site's: nothing else reaches the manager. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from haproxy.errors import HaproxyError
from mesh.pools import PoolsDocument
from mesh.signing import pools_payload


class NotOurs(HaproxyError):
    """What was offered is not signed by this mesh for this site."""

    hint = "Look whether the node on this box was enrolled in the mesh that it should be in."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Pools that may be offered to the manager."""

    document: PoolsDocument
    fingerprint: str


def verified(document: bytes, signature: bytes, *, site: str, public_key: bytes) -> Verified:
    """The document, when its signature covers it, its site and its order.

    Raises:
        NotOurs: it does not, or what is signed cannot be read.
    """
    try:
        read = PoolsDocument.model_validate_json(document)
    except ValidationError as error:
        raise NotOurs(f"the pools that were offered cannot be read: {error.error_count()} mistakes") from error
    if read.site != site:
        raise NotOurs(f"the pools that were offered are those of another site, {read.site!r}")
    try:
        payload = pools_payload(site=site, order=read.order, document=document)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, payload)
    except (InvalidSignature, ValueError) as error:
        raise NotOurs from error
    return Verified(document=read, fingerprint=hashlib.sha256(document).hexdigest())
