"""The one-time token that makes a box a node: where to go, whom to trust there, and the secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from edge.errors import EnrolmentError
from edge.sync.endpoint import Endpoint, EndpointMalformed

PREFIX = "mesh1"
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """A token, taken apart. The secret is never printed."""

    control: Endpoint
    """The control plane's HTTPS listener."""
    ca_sha256: str
    """SHA-256 of the mesh CA's certificate (DER), 64 hex digits: the first contact trusts nothing else."""
    token_id: str
    secret: str = field(repr=False)


def read_token(text: str) -> JoinToken:
    """Take `mesh1.<host:port>.<ca sha256>.<id>.<secret>` apart. Does not say whether it is still good.

    Raises:
        EnrolmentError: TOKEN_MALFORMED, saying which part is wrong, never repeating the text.
    """
    # From the right, because a host name has dots too.
    parts = "".join(text.split()).rsplit(".", 3)
    prefix, _, host = parts[0].partition(".")
    if len(parts) != 4 or prefix != PREFIX or not host:
        raise _malformed("it does not read mesh1.<host:port>.<fingerprint>.<id>.<secret>")
    _, pin, token_id, secret = parts
    if not _HEX64.match(pin.lower()):
        raise _malformed("the fingerprint of the mesh's CA is not 64 hex digits")
    if not token_id or not secret:
        raise _malformed("the id or the secret is missing")
    try:
        control = Endpoint.read(host.removeprefix("https://"))
    except EndpointMalformed as error:
        raise _malformed(str(error)) from error
    return JoinToken(control=control, ca_sha256=pin.lower(), token_id=token_id, secret=secret)


def _malformed(what: str) -> EnrolmentError:
    return EnrolmentError(
        "TOKEN_MALFORMED",
        f"This is not a whole enrolment token: {what}.",
        hint="Copy the token again, all of it, from `skerry-control token create SITE`.",
    )
