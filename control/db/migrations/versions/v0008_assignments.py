"""Policies of single nodes, and who holds the policies of a site."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import RowId, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "policy_assignment",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("assigned_at", UtcDateTime(), nullable=False),
        sa.Column("assigned_by", sa.String(length=128), nullable=False),
        sa.Column("rollout_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_policy_assignment_node_id_node")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_policy_assignment_site_id_site")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_policy_assignment")),
    )
    op.create_index(op.f("ix_policy_assignment_site_id"), "policy_assignment", ["site_id"], unique=False)
    op.create_table(
        "policy_hold",
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("rollout_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_policy_hold_site_id_site")),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_policy_hold")),
    )
    op.create_index(op.f("ix_policy_hold_rollout_id"), "policy_hold", ["rollout_id"], unique=False)
