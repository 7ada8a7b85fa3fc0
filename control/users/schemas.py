"""What logins and API keys look like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from control.principals import Role


class Credentials(BaseModel):
    """A user name and a password."""

    model_config = ConfigDict(extra="forbid")

    username: str
    password: str


class Me(BaseModel):
    """The caller."""

    model_config = ConfigDict(from_attributes=True)

    actor: str
    name: str
    role: Role


class NewKey(BaseModel):
    """An API key to make."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: Role = Role.VIEWER


class KeyItem(BaseModel):
    """An API key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    prefix: str
    role: Role
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class MadeKey(KeyItem):
    """A fresh API key; `key` is shown this once."""

    key: str
