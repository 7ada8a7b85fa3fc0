"""The table of cursors: how far each node's events are applied."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base


class NodeCursor(Base):
    """Every event of this node and epoch up to `ack_sequence` is committed: the rows and this in one transaction."""

    __tablename__ = "node_cursor"
    __table_args__ = (Index("ix_node_cursor_site", "site", "pushed_at"),)

    node_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    epoch: Mapped[str] = mapped_column(String(16), primary_key=True)
    site: Mapped[str] = mapped_column(String(63))
    ack_sequence: Mapped[int] = mapped_column(BigInteger)
    boot_id: Mapped[str] = mapped_column(String(64))
    pushed_at: Mapped[datetime]
    """By our clock: when this node last pushed."""
