"""The tables of users, sessions and API keys. Secrets are kept as hashes only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument, RowId

NO_GRANTS = text("'[]'")


class User(Base):
    """A person who logs in with a password."""

    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    """Argon2id, with its parameters and salt."""
    grants: Mapped[list[dict[str, Any]]] = mapped_column(JsonDocument, server_default=NO_GRANTS)
    """[{role, site}]; the site is null for everywhere."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class LoginSession(Base):
    """One login. The cookie holds a random token; its SHA-256 is the key here."""

    __tablename__ = "login_session"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(RowId, ForeignKey("user_account.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(64), server_default="")
    """Where the login came from."""


class ApiKey(Base):
    """A key `skry_<prefix>_<secret>` for a program."""

    __tablename__ = "api_key"

    prefix: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    grants: Mapped[list[dict[str, Any]]] = mapped_column(JsonDocument, server_default=NO_GRANTS)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))
    revoked_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    """None: never."""
