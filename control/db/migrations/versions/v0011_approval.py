"""Approval of enrolments: boxes that wait for a person, and whose key spent a token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import RowId, UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table, and columns of tokens and sites."""
    op.add_column("site", sa.Column("needs_approval", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column(
        "enrolment_token", sa.Column("needs_approval", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    for name, length in (("key_fingerprint", 64), ("node_id", 32)):
        op.add_column("enrolment_token", sa.Column(name, sa.String(length=length), server_default="", nullable=False))
    op.create_table(
        "enrolment_request",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("key_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_enrolment_request_site_id_site")),
        sa.ForeignKeyConstraint(
            ["token_id"], ["enrolment_token.id"], name=op.f("fk_enrolment_request_token_id_enrolment_token")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_request")),
        sa.UniqueConstraint("token_id", name=op.f("uq_enrolment_request_token_id")),
    )
    op.create_index("ix_enrolment_request_state_asked_at", "enrolment_request", ["state", "asked_at"], unique=False)
