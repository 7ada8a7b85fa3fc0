"""What sites look like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from control.names import NAME


class NewSite(BaseModel):
    """A site to add."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class SiteItem(BaseModel):
    """A site."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    created_at: datetime
    needs_approval: bool
    """Whether boxes that join wait for a person, unless their token says otherwise."""


class SiteApproval(BaseModel):
    """Whether boxes that join a site wait for a person."""

    model_config = ConfigDict(extra="forbid")

    needed: bool
