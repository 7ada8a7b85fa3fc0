"""What enrolment looks like over REST. The enrolment itself is protobuf JSON (mesh/v1/enrolment.proto)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from control.enrolment.approvals import RequestState


class TokenRequest(BaseModel):
    """How long the token shall be good, and whether a person approves the box that comes with it."""

    model_config = ConfigDict(extra="forbid")

    hours: int = Field(default=24, ge=1, le=24 * 30)
    needs_approval: bool | None = None
    """null: as the site has it."""


class TokenItem(BaseModel):
    """A token, shown this once."""

    token: str
    expires_at: datetime
    needs_approval: bool


class RequestItem(BaseModel):
    """A box that asked to become a node."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    """The id of the node that it becomes."""
    site: str
    name: str
    key_fingerprint: str
    """SHA-256 of its public key, hex."""
    spoken_fingerprint: str
    """The part that people compare by telephone; the box shows the same."""
    address: str
    asked_at: datetime
    expires_at: datetime
    state: RequestState
    reason: str
    decided_by: str
    decided_at: datetime | None


class Rejection(BaseModel):
    """Why a box is sent away."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
