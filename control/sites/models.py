"""The table of sites."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, String, false
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, RowId


class Site(Base):
    """A place with its own network. Never renamed: its name stands in the certificates of its nodes."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    created_at: Mapped[datetime]
    needs_approval: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """Whether boxes that join wait for a person, unless their token says otherwise."""
