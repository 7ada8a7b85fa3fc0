"""The tables of enrolment tokens and of the mesh itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, RowId


class EnrolmentToken(Base):
    """A door that opens once. Only the hash of its secret is kept."""

    __tablename__ = "enrolment_token"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_sha256: Mapped[str] = mapped_column(String(64))
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Mesh(Base):
    """One row: which certificate authority this database belongs to."""

    __tablename__ = "mesh"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ca_pin: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
