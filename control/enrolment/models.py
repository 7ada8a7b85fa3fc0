"""The tables of enrolment tokens, of boxes that wait, and of the mesh itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, false
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
    needs_approval: Mapped[bool] = mapped_column(Boolean, server_default=false())
    key_fingerprint: Mapped[str] = mapped_column(String(64), server_default="")
    """Of the key that used it: the same key may ask again, because an answer can get lost."""
    node_id: Mapped[str] = mapped_column(String(32), server_default="")
    """The node that it made at once; empty when a person approves."""


class EnrolmentRequest(Base):
    """A box that waits for a person, or did. It has proved its key and has nothing else."""

    __tablename__ = "enrolment_request"
    __table_args__ = (Index("ix_enrolment_request_state_asked_at", "state", "asked_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """The id of the node that it becomes."""
    token_id: Mapped[str] = mapped_column(String(32), ForeignKey("enrolment_token.id"), unique=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"))
    name: Mapped[str] = mapped_column(String(63))
    key_fingerprint: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    """Where it called from."""
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    decided_by: Mapped[str] = mapped_column(String(128))
    decided_at: Mapped[datetime | None]


class Mesh(Base):
    """One row: which certificate authority this database belongs to."""

    __tablename__ = "mesh"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    ca_pin: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
