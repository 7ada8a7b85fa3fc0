"""The table of what nodes last measured."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base


class NodeFigures(Base):
    """The newest figures of a node, ready to be shown: one row for each node and program that reported some."""

    __tablename__ = "node_figures"

    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    source: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`edge`, or `haproxy` for the manager of pools on the same box."""
    site: Mapped[str] = mapped_column(String(63), index=True)
    at: Mapped[datetime]
    lines: Mapped[str] = mapped_column(Text)
    """Samples in the Prometheus text format, with the labels `site` and `node`."""
