"""What sites look like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class NewSite(BaseModel):
    """A site to add."""

    model_config = ConfigDict(extra="forbid")

    name: str


class SiteItem(BaseModel):
    """A site."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    created_at: datetime
