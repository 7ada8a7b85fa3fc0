"""The table of commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument


class NodeCommand(Base):
    """Something that a person asked of a node. Never changed but in its state and its end."""

    __tablename__ = "node_command"
    __table_args__ = (
        Index("ix_node_command_node_id_state", "node_id", "state"),
        Index("ix_node_command_asked_at_id", "asked_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"))
    site: Mapped[str] = mapped_column(String(63), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    arguments: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    state: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    """What the node said of it at its end."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    asked_by: Mapped[str] = mapped_column(String(128))
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
