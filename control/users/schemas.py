"""What logins and API keys look like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from control.names import NAME
from control.principals import Grant, Role
from control.users.secrets import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Password = Annotated[str, Field(min_length=MIN_PASSWORD_CHARACTERS, max_length=MAX_PASSWORD_CHARACTERS)]


def _admin_everywhere(place: str) -> JsonDict:
    """In the documentation: whoever is an admin is one everywhere."""
    at_sites: JsonDict = {"role": {"const": "admin"}, place: {"not": {"type": "null"}}}
    return {"not": {"properties": at_sites, "required": ["role", place]}}


class Credentials(BaseModel):
    """A user name and a password."""

    model_config = ConfigDict(extra="forbid")

    username: str
    password: str


class GrantItem(BaseModel):
    """A role at a site; no site: everywhere."""

    model_config = ConfigDict(from_attributes=True, extra="forbid", json_schema_extra=_admin_everywhere("site"))

    role: Role
    site: Name | None = None

    def grant(self) -> Grant:
        """As a value."""
        return Grant(role=self.role, site=self.site)


class Me(BaseModel):
    """The caller. `role` is the most that the grants allow anywhere; null: nothing."""

    model_config = ConfigDict(from_attributes=True)

    actor: str
    name: str
    role: Role | None
    grants: list[GrantItem]


class NewKey(BaseModel):
    """An API key to make. Without sites it counts everywhere; `days: null` makes one that never ends."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_admin_everywhere("sites"))

    name: Name
    role: Role
    sites: list[Name] | None = Field(default=None, min_length=1, max_length=1000)
    days: int | None = Field(default=365, ge=1, le=3650)


class KeyItem(BaseModel):
    """An API key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    prefix: str
    role: Role
    grants: list[GrantItem]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeKey(KeyItem):
    """A fresh API key; `key` is shown this once."""

    key: str


class NewUser(BaseModel):
    """An account to add. Without grants it can log in and see nothing."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    password: Password
    grants: list[GrantItem] = Field(default_factory=list, max_length=1000)


class UserItem(BaseModel):
    """An account without its password."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    grants: list[GrantItem]
    created_at: datetime
    disabled_at: datetime | None


class NewPassword(BaseModel):
    """A password to set."""

    model_config = ConfigDict(extra="forbid")

    password: Password


class PasswordChange(BaseModel):
    """One's own password, and the next."""

    model_config = ConfigDict(extra="forbid")

    old: str
    new: Password


class SessionItem(BaseModel):
    """An open login."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    user: str
    created_at: datetime
    expires_at: datetime
    address: str
