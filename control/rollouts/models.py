"""The tables of roll-outs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument, RowId


class Rollout(Base):
    """A policy on its way over the nodes of some sites."""

    __tablename__ = "rollout"
    __table_args__ = (Index("ix_rollout_started_at_id", "started_at", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    turn: Mapped[int] = mapped_column(BigInteger)
    """Counts every step: a step is done by whoever raises it, and by nobody else."""
    wave: Mapped[int] = mapped_column(BigInteger)
    waves: Mapped[list[str]] = mapped_column(JsonDocument)
    soak_seconds: Mapped[int] = mapped_column(BigInteger)
    gates: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    sha256: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    started_by: Mapped[str] = mapped_column(String(128))
    changed_at: Mapped[datetime]
    soak_ends: Mapped[datetime | None]
    back_since: Mapped[datetime | None]
    text: Mapped[str] = mapped_column(Text)
    """The newest step in words."""


class RolloutSite(Base):
    """A site of a roll-out: what it is given, and what it had."""

    __tablename__ = "rollout_site"

    rollout_id: Mapped[str] = mapped_column(String(32), ForeignKey("rollout.id"), primary_key=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), primary_key=True, index=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    before_version: Mapped[int] = mapped_column(BigInteger)
    back_generation: Mapped[int | None] = mapped_column(BigInteger)
    """Of the version before, since it was given back."""


class RolloutNode(Base):
    """A node of a roll-out, its wave, and how it was when it was given the policy."""

    __tablename__ = "rollout_node"

    rollout_id: Mapped[str] = mapped_column(String(32), ForeignKey("rollout.id"), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"))
    wave: Mapped[int] = mapped_column(BigInteger)
    given_at: Mapped[datetime | None]
    absent: Mapped[bool] = mapped_column(Boolean)
    waiting_before: Mapped[int] = mapped_column(BigInteger)
    parked_before: Mapped[int] = mapped_column(BigInteger)
    refused_before: Mapped[int] = mapped_column(BigInteger)
    accepted_before: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    """Why it failed, in plain words."""


class RolloutStep(Base):
    """A step that was taken. Its key is the second guard against taking it twice."""

    __tablename__ = "rollout_step"

    rollout_id: Mapped[str] = mapped_column(String(32), ForeignKey("rollout.id"), primary_key=True)
    turn: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    happening: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    """The one after it."""
    wave: Mapped[int] = mapped_column(BigInteger)
    text: Mapped[str] = mapped_column(Text)
