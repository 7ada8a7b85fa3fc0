"""Scopes: groups of sites, and layers of policies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import RowId, UtcDateTime, key_text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add four tables."""
    op.create_table(
        "site_group",
        sa.Column("name", key_text(63), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_site_group")),
    )
    op.create_table(
        "site_group_member",
        sa.Column("group_name", key_text(63), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_name"], ["site_group.name"], name=op.f("fk_site_group_member_group_name_site_group")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_site_group_member_site_id_site")),
        sa.PrimaryKeyConstraint("group_name", "site_id", name=op.f("pk_site_group_member")),
    )
    op.create_index(op.f("ix_site_group_member_site_id"), "site_group_member", ["site_id"], unique=False)
    op.create_table(
        "policy_layer",
        sa.Column("scope", key_text(80), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("scope", "version", name=op.f("pk_policy_layer")),
    )
    op.create_table(
        "policy_layer_active",
        sa.Column("scope", key_text(80), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column("published_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_policy_layer_active")),
    )
