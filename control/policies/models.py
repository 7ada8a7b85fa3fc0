"""The tables of policies."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, RowId


class PolicyRevision(Base):
    """One uploaded document. Never changed, never deleted."""

    __tablename__ = "policy_revision"

    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3 … in each site."""
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """The bytes that were uploaded."""
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))


class PolicyActive(Base):
    """What a site shall run. One row for each site that has a published policy."""

    __tablename__ = "policy_active"

    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    """Rises when an older version is wanted again: nodes compare (generation, version)."""
    version: Mapped[int] = mapped_column(BigInteger)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime]
    published_by: Mapped[str] = mapped_column(String(128))


class PolicyAnswer(Base):
    """What a node said of one published policy: its newest word."""

    __tablename__ = "policy_answer"

    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    """applying | applied | rejected | rolled_back"""
    error: Mapped[str] = mapped_column(Text)
    answered_at: Mapped[datetime]


class PolicyAssignment(Base):
    """What one node shall run instead of what its site runs."""

    __tablename__ = "policy_assignment"

    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), index=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str] = mapped_column(String(128))
    rollout_id: Mapped[str | None] = mapped_column(String(32))
    """The roll-out that gave it, when one did."""


class PolicyHold(Base):
    """A roll-out decides what this site runs, and nobody else: one at a time."""

    __tablename__ = "policy_hold"

    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), primary_key=True)
    rollout_id: Mapped[str] = mapped_column(String(32), index=True)
