"""Passwords, session tokens and API keys: how they are made and checked. Pure but for the random source."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

KEY = re.compile(r"skry_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
MIN_PASSWORD_CHARACTERS = 12
MAX_PASSWORD_CHARACTERS = 1024

_HASHER = PasswordHash((Argon2Hasher(),))
_NOBODY = _HASHER.hash(secrets.token_hex(16))
"""What a password is checked against when there is no such user: the answer takes as long as for one that is."""


def hash_password(password: str) -> str:
    """Argon2id with its parameters. Slow on purpose: not on the event loop."""
    return _HASHER.hash(password)


def password_fits(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one; False, after the same time, when nothing is stored. Slow on purpose."""
    if len(password) > MAX_PASSWORD_CHARACTERS:
        return False
    # JSON can carry halves of surrogate pairs, which are no text and cannot be hashed as such.
    fits = _HASHER.verify(password.encode("utf-8", "surrogatepass"), stored or _NOBODY)
    return fits and stored is not None


def digest(secret: str) -> str:
    """SHA-256, hex: enough for secrets of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def draw_session() -> str:
    """What a session cookie holds."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """An API key, taken apart."""

    prefix: str
    """Finds the row; no secret."""
    secret: str

    def text(self) -> str:
        """As a program sends it."""
        return f"skry_{self.prefix}_{self.secret}"


def draw_key() -> KeyText:
    """A fresh API key."""
    return KeyText(prefix=secrets.token_hex(6), secret=secrets.token_hex(32))


def read_key(text: str) -> KeyText | None:
    """The two parts of an API key, or None for any other text."""
    found = KEY.fullmatch(text)
    return KeyText(prefix=found[1], secret=found[2]) if found else None
