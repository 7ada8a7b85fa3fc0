"""What enrolment looks like over REST. The enrolment itself is protobuf JSON (mesh/v1/enrolment.proto)."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class TokenRequest(BaseModel):
    """How long the token shall be good."""

    model_config = ConfigDict(extra="forbid")

    hours: int = Field(default=24, ge=1, le=24 * 30)


class TokenItem(BaseModel):
    """A token, shown this once."""

    token: str
    expires_at: datetime
