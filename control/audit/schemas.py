"""What the audit trail looks like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class AuditItem(BaseModel):
    """One change."""

    model_config = ConfigDict(from_attributes=True)

    sequence: int
    at: datetime
    actor: str
    action: str
    object: str
    site: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous_hash: str
    hash: str


class ChainCheck(BaseModel):
    """Whether the trail is whole."""

    intact: bool
    first_broken_sequence: int | None = None
