"""Groups and layers as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from control.scopes.book import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A group of sites."""

    name: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """An uploaded layer without its text."""

    scope: str
    version: int
    sha256: str
    created_at: datetime
    created_by: str
    active: bool
    sites: tuple[str, ...] = ()
    """The sites under it, when it was uploaded or published just now."""
    changed: tuple[str, ...] = ()
    """The sites, and the nodes with something of their own (`node/ID`), that got another policy by a publication."""
    warnings: tuple[Found, ...] = ()
    etag: str = ""
