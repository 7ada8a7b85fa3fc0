"""What people ask of nodes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import JsonDocument, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "node_command",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("arguments", JsonDocument, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("result", JsonDocument, nullable=True),
        sa.Column("asked_by", sa.String(length=128), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_command_node_id_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_command")),
    )
    op.create_index("ix_node_command_node_id_state", "node_command", ["node_id", "state"], unique=False)
    op.create_index("ix_node_command_asked_at_id", "node_command", ["asked_at", "id"], unique=False)
    op.create_index(op.f("ix_node_command_site"), "node_command", ["site"], unique=False)
