"""HAProxy pools: orders, words of people, reports of managers; where balancers reach nodes; figures by their source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import JsonDocument, RowId, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three tables and a column. Figures are those of the last minute, so their table is made anew."""
    op.add_column("node_report", sa.Column("addresses", JsonDocument, server_default="{}", nullable=False))
    op.create_table(
        "pool_order",
        sa.Column("site_id", RowId, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_pool_order_site_id_site")),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_pool_order")),
    )
    op.create_table(
        "pool_word",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("said_by", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_pool_word_node_id_node")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_pool_word_site_id_site")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_pool_word")),
    )
    op.create_index(op.f("ix_pool_word_site_id"), "pool_word", ["site_id"], unique=False)
    op.create_table(
        "pool_manager",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.Column("report", JsonDocument, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_pool_manager_node_id_node")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_pool_manager_site_id_site")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_pool_manager")),
    )
    op.create_index(op.f("ix_pool_manager_site_id"), "pool_manager", ["site_id"], unique=False)
    op.drop_table("node_figures")
    op.create_table(
        "node_figures",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_figures_node_id_node")),
        sa.PrimaryKeyConstraint("node_id", "source", name=op.f("pk_node_figures")),
    )
    op.create_index(op.f("ix_node_figures_site"), "node_figures", ["site"], unique=False)
