"""What nodes measure, and how long they can stay cut off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and two columns of reports."""
    op.create_table(
        "node_figures",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_figures_node_id_node")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_figures")),
    )
    op.create_index(op.f("ix_node_figures_site"), "node_figures", ["site"], unique=False)
    for name in ("inflow_bytes_per_hour", "outage_seconds"):
        op.add_column("node_report", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
