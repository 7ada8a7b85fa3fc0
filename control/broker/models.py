"""The table of presence: what the broker last said of each node."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base


class NodePresence(Base):
    """A hint, never the truth: a node's own word over gRPC weighs more."""

    __tablename__ = "node_presence"

    node_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    site: Mapped[str] = mapped_column(String(63))
    state: Mapped[str] = mapped_column(String(16))
    """online | offline"""
    boot_id: Mapped[str] = mapped_column(String(64))
    heard_at: Mapped[datetime]
    """By our clock: when this state or boot was first heard of."""
