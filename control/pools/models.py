"""The tables of pools."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument, RowId


class PoolOrder(Base):
    """How often a site's pools have changed: managers take a higher order only."""

    __tablename__ = "pool_order"

    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of what the pools ask for, without the order."""


class PoolWord(Base):
    """What people at the centre last said of a node in its site's pools."""

    __tablename__ = "pool_word"

    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), index=True)
    state: Mapped[str] = mapped_column(String(8))
    """`ready`, `drain` or `maint`."""
    weight: Mapped[int | None] = mapped_column(Integer)
    """None: what the policy says."""
    since: Mapped[int] = mapped_column(BigInteger)
    """Seconds since 1970; the later of this and what was said at the site holds."""
    deadline: Mapped[int] = mapped_column(BigInteger)
    said_by: Mapped[str] = mapped_column(String(128))


class PoolManager(Base):
    """The newest report of a manager; it speaks with the identity of the node on whose box it runs."""

    __tablename__ = "pool_manager"

    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"), index=True)
    heard_at: Mapped[datetime]
    report: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
