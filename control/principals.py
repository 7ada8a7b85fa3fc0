"""Callers as values: who asks and what they may do. Nothing of HTTP here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller may do."""

    VIEWER = "viewer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks."""

    actor: str
    """As it stands in the audit trail: `user:admin`, `key:nightly-report`."""
    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """The two ways to be known. Each gives None for a secret that opens nothing."""

    by_session: Callable[[str], Awaitable[Principal | None]]
    by_api_key: Callable[[str], Awaitable[Principal | None]]
