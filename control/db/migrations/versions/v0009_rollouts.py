"""Roll-outs: their sites, nodes and steps; and what nodes count under the policy that they run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import JsonDocument, RowId, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add four tables, and a column of reports."""
    op.create_table(
        "rollout",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("wave", sa.BigInteger(), nullable=False),
        sa.Column("waves", JsonDocument, nullable=False),
        sa.Column("soak_seconds", sa.BigInteger(), nullable=False),
        sa.Column("gates", JsonDocument, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("started_by", sa.String(length=128), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("soak_ends", UtcDateTime(), nullable=True),
        sa.Column("back_since", UtcDateTime(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout")),
    )
    op.create_index(op.f("ix_rollout_state"), "rollout", ["state"], unique=False)
    op.create_index("ix_rollout_started_at_id", "rollout", ["started_at", "id"], unique=False)
    _sites()
    _nodes()
    op.create_table(
        "rollout_step",
        sa.Column("rollout_id", sa.String(length=32), nullable=False),
        sa.Column("turn", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("happening", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wave", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"], name=op.f("fk_rollout_step_rollout_id_rollout")),
        sa.PrimaryKeyConstraint("rollout_id", "turn", name=op.f("pk_rollout_step")),
    )
    op.add_column("node_report", sa.Column("policy_figures", JsonDocument, server_default="{}", nullable=False))


def _sites() -> None:
    op.create_table(
        "rollout_site",
        sa.Column("rollout_id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("before_version", sa.BigInteger(), nullable=False),
        sa.Column("back_generation", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"], name=op.f("fk_rollout_site_rollout_id_rollout")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_rollout_site_site_id_site")),
        sa.PrimaryKeyConstraint("rollout_id", "site_id", name=op.f("pk_rollout_site")),
    )
    op.create_index(op.f("ix_rollout_site_site_id"), "rollout_site", ["site_id"], unique=False)


def _nodes() -> None:
    op.create_table(
        "rollout_node",
        sa.Column("rollout_id", sa.String(length=32), nullable=False),
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("wave", sa.BigInteger(), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=True),
        sa.Column("absent", sa.Boolean(), nullable=False),
        sa.Column("waiting_before", sa.BigInteger(), nullable=False),
        sa.Column("parked_before", sa.BigInteger(), nullable=False),
        sa.Column("refused_before", sa.BigInteger(), nullable=False),
        sa.Column("accepted_before", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"], name=op.f("fk_rollout_node_rollout_id_rollout")),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_rollout_node_node_id_node")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_rollout_node_site_id_site")),
        sa.PrimaryKeyConstraint("rollout_id", "node_id", name=op.f("pk_rollout_node")),
    )
