"""The tables of the live feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument


class LiveEvent(Base):
    """Something that just happened, for screens. Kept for a day or so; never the record of anything."""

    __tablename__ = "live_event"
    __table_args__ = (Index("ix_live_event_at", "at"),)

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    body: Mapped[dict[str, Any]] = mapped_column(JsonDocument)


class LiveCounter(Base):
    """One row: the newest sequence. Whoever records events holds it until the commit.

    A database's own sequence gives its numbers out before the commit, so that a reader could see 8 before 7 and
    never look back for 7.
    """

    __tablename__ = "live_counter"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    newest: Mapped[int] = mapped_column(BigInteger)
