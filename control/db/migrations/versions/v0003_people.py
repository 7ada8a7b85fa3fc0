"""People: grants by site, keys that end, users who are disabled, sessions with an address. Kept answers."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

from control.audit.chain import site_of
from control.db.base import JsonDocument, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables, and give everybody what they had."""
    for table in ("user_account", "api_key"):
        op.add_column(table, sa.Column("grants", JsonDocument, server_default=sa.text("'[]'"), nullable=False))
        _everywhere(table)
        op.drop_column(table, "role")
    op.add_column("user_account", sa.Column("disabled_at", UtcDateTime(), nullable=True))
    op.add_column("api_key", sa.Column("expires_at", UtcDateTime(), nullable=True))
    op.add_column("login_session", sa.Column("address", sa.String(length=64), server_default="", nullable=False))
    op.add_column("audit_row", sa.Column("site", sa.String(length=63), nullable=True))
    op.create_index(op.f("ix_audit_row_site"), "audit_row", ["site"], unique=False)
    _name_sites()
    op.create_table(
        "kept_answer",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("begun_at", UtcDateTime(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_answer")),
    )
    op.create_index(op.f("ix_kept_answer_begun_at"), "kept_answer", ["begun_at"], unique=False)


def _everywhere(table: str) -> None:
    one = sa.table(table, sa.column("role", sa.String), sa.column("grants", JsonDocument))
    for role in ("viewer", "admin"):
        grants = [{"role": role, "site": None}]
        op.execute(one.update().where(one.c.role == role).values(grants=grants))


def _name_sites() -> None:
    rows = sa.table(
        "audit_row",
        sa.column("sequence", sa.BigInteger),
        sa.column("object", sa.String),
        sa.column("site", sa.String),
        sa.column("before", JsonDocument),
        sa.column("after", JsonDocument),
    )
    connection = op.get_bind()
    found = connection.execute(sa.select(rows.c.sequence, rows.c.object, rows.c.before, rows.c.after)).all()
    for sequence, thing, before, after in found:
        site = site_of(thing, _summary(before), _summary(after))
        if site is not None:
            connection.execute(rows.update().where(rows.c.sequence == sequence).values(site=site))


def _summary(value: object) -> Mapping[str, str | int | bool | None] | None:
    return json.loads(value) if isinstance(value, str) else value  # type: ignore[return-value]
