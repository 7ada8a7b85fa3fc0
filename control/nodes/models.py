"""The tables of nodes and of what they last reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument, RowId


class Node(Base):
    """A box that was enrolled. Its row stays when it is revoked: what it sent still names it."""

    __tablename__ = "node"
    __table_args__ = (
        # A revoked box leaves its name to the one that takes its place.
        Index(
            "uq_node_living_name",
            "site_id",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Random, made by us; stands in the certificate."""
    site_id: Mapped[int] = mapped_column(RowId, ForeignKey("site.id"))
    name: Mapped[str] = mapped_column(String(63))
    """What people call the box, unique among those of its site that are not revoked."""
    key_fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER) in its present certificate."""
    previous_key_fingerprint: Mapped[str] = mapped_column(String(64), server_default="")
    """Of the key before that. A renewal whose answer was lost leaves the node with it."""
    certificate_ends: Mapped[datetime]
    enrolled_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_contact_at: Mapped[datetime | None]
    """Any gRPC call, written at most every few seconds."""


class NodeReport(Base):
    """The newest status report of a node. One row for each node that ever reported."""

    __tablename__ = "node_report"

    node_id: Mapped[str] = mapped_column(String(32), ForeignKey("node.id"), primary_key=True)
    reported_at: Mapped[datetime]
    """By our clock."""
    node_time: Mapped[datetime | None]
    boot_id: Mapped[str] = mapped_column(String(64))
    epoch: Mapped[str] = mapped_column(String(16))
    """16 hex digits: a 64-bit number without sign fits no integer column."""
    software_version: Mapped[str] = mapped_column(String(64))
    dicom_endpoint: Mapped[str] = mapped_column(String(255))
    instances_held: Mapped[int] = mapped_column(BigInteger)
    deliveries_waiting: Mapped[int] = mapped_column(BigInteger)
    deliveries_parked: Mapped[int] = mapped_column(BigInteger)
    oldest_waiting_seconds: Mapped[int] = mapped_column(BigInteger)
    outbox_events: Mapped[int] = mapped_column(BigInteger)
    spool_free_bytes: Mapped[int] = mapped_column(BigInteger)
    spool_total_bytes: Mapped[int] = mapped_column(BigInteger)
    inflow_bytes_per_hour: Mapped[int] = mapped_column(BigInteger, server_default="0")
    outage_seconds: Mapped[int] = mapped_column(BigInteger, server_default="0")
    addresses: Mapped[dict[str, str]] = mapped_column(JsonDocument, server_default="{}")
    """Where balancers of the site reach it."""
    conditions: Mapped[list[dict[str, Any]]] = mapped_column(JsonDocument)
    """[{code, severity, text, hint}]"""
    active_generation: Mapped[int] = mapped_column(BigInteger)
    active_version: Mapped[int] = mapped_column(BigInteger)
    active_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    attempt_generation: Mapped[int] = mapped_column(BigInteger)
    attempt_version: Mapped[int] = mapped_column(BigInteger)
    attempt_state: Mapped[str] = mapped_column(String(16))
    """`` | applying | applied | rejected | rolled_back"""
    attempt_error: Mapped[str] = mapped_column(Text)
    policy_figures: Mapped[dict[str, int]] = mapped_column(JsonDocument, server_default="{}")
    """What it counted since it began to run its policy; empty: an old node, or none of the centre's policies."""
    recent_boots: Mapped[list[dict[str, Any]]] = mapped_column(JsonDocument)
    """[{boot_id, at}], the last few changes: two boots that alternate are two boxes."""
    clone_suspected: Mapped[bool] = mapped_column(Boolean)
