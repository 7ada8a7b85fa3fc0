"""What is asked of the audit trail (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Every condition must hold; None asks for nothing. A `*` at the end of a text asks for a beginning."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    site: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    within: frozenset[str] | None = None
    """The sites that the reader may see; None: every row, also those about no site."""


EVERYTHING = AuditQuery()
