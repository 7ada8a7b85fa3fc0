"""The table of deliveries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, key_text


class Delivery(Base):
    """What one node owes one destination for one reception, and how far it has come."""

    __tablename__ = "delivery"
    __table_args__ = (
        Index("ix_delivery_study", "study_instance_uid", "site", "unfinished"),
        Index(
            "ix_delivery_unfinished",
            "unfinished",
            "site",
            "study_instance_uid",
            postgresql_where=text("unfinished <> 0"),
            sqlite_where=text("unfinished <> 0"),
        ),
    )

    node_id: Mapped[str] = mapped_column(key_text(64), primary_key=True)
    instance_id: Mapped[str] = mapped_column(key_text(32), primary_key=True)
    destination: Mapped[str] = mapped_column(key_text(128), primary_key=True)
    site: Mapped[str] = mapped_column(key_text(63))
    sop_instance_uid: Mapped[str] = mapped_column(key_text(256))
    study_instance_uid: Mapped[str] = mapped_column(key_text(256))
    state: Mapped[str] = mapped_column(String(16))
    """See `changes.DeliveryState`."""
    unfinished: Mapped[int] = mapped_column(SmallInteger)
    """-2 ended undelivered, 0 delivered, 1 not yet, 2 a person is needed: see `changes.UNFINISHED`."""
    finality: Mapped[int] = mapped_column(SmallInteger)
    """See `changes.FINALITY`."""
    reason: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(BigInteger)
    dimse_status: Mapped[int] = mapped_column(BigInteger)
    occurred_at: Mapped[datetime]
    """By the node's clock."""
    delivered_at: Mapped[datetime | None]
    """When it was first delivered. Stays when the delivery is asked for again."""
    epoch: Mapped[str] = mapped_column(key_text(16))
    sequence: Mapped[int] = mapped_column(BigInteger)
    """Of the event that this row tells of; 0: from the reception, before any change."""
