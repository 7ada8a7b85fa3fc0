"""The text of an enrolment token: `mesh1.<https host:port>.<ca sha256 hex>.<id>.<secret>`. Pure."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from control.errors import TokenMalformed

PREFIX = "mesh1"
ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
SECRET = re.compile(r"[0-9a-f]{40}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSecret:
    """What opens the door: 160 random bits under a name."""

    id: str
    secret: str

    def digest(self) -> str:
        """What the database keeps."""
        return digest(self.secret)


def draw() -> TokenSecret:
    """A fresh one."""
    return TokenSecret(id=secrets.token_hex(8), secret=secrets.token_hex(20))


def digest(secret: str) -> str:
    """SHA-256, hex. Plain, because 160 random bits cannot be guessed however fast the hash is."""
    return hashlib.sha256(secret.encode()).hexdigest()


def write(token: TokenSecret, *, endpoint: str, ca_pin: str) -> str:
    """The text that a technician carries to the box. Read it from the right: the endpoint may hold dots."""
    return ".".join((PREFIX, endpoint, ca_pin, token.id, token.secret))


def check(token_id: str, secret: str) -> TokenSecret:
    """The two parts that a box sends.

    Raises:
        TokenMalformed: they cannot have come from a token of ours.
    """
    if not ID.fullmatch(token_id) or not SECRET.fullmatch(secret):
        raise TokenMalformed
    return TokenSecret(id=token_id, secret=secret)
