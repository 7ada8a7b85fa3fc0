"""The tables of the core: sites, nodes, enrolment, policies, users, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import JsonDocument, RowId, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    _sites_and_nodes()
    _enrolment()
    _policies()
    _users()
    _audit()


def _sites_and_nodes() -> None:
    op.create_table(
        "site",
        sa.Column("id", RowId, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("name", name=op.f("uq_site_name")),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("key_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("certificate_ends", UtcDateTime(), nullable=False),
        sa.Column("enrolled_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("last_contact_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_node_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
    )
    op.create_index(
        "uq_node_living_name",
        "node",
        ["site_id", "name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "node_report",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("reported_at", UtcDateTime(), nullable=False),
        sa.Column("node_time", UtcDateTime(), nullable=True),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("software_version", sa.String(length=64), nullable=False),
        sa.Column("dicom_endpoint", sa.String(length=255), nullable=False),
        sa.Column("instances_held", sa.BigInteger(), nullable=False),
        sa.Column("deliveries_waiting", sa.BigInteger(), nullable=False),
        sa.Column("deliveries_parked", sa.BigInteger(), nullable=False),
        sa.Column("oldest_waiting_seconds", sa.BigInteger(), nullable=False),
        sa.Column("outbox_events", sa.BigInteger(), nullable=False),
        sa.Column("spool_free_bytes", sa.BigInteger(), nullable=False),
        sa.Column("spool_total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("conditions", JsonDocument, nullable=False),
        sa.Column("active_generation", sa.BigInteger(), nullable=False),
        sa.Column("active_version", sa.BigInteger(), nullable=False),
        sa.Column("active_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("attempt_generation", sa.BigInteger(), nullable=False),
        sa.Column("attempt_version", sa.BigInteger(), nullable=False),
        sa.Column("attempt_state", sa.String(length=16), nullable=False),
        sa.Column("attempt_error", sa.Text(), nullable=False),
        sa.Column("recent_boots", JsonDocument, nullable=False),
        sa.Column("clone_suspected", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_report_node_id_node")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_report")),
    )


def _enrolment() -> None:
    op.create_table(
        "mesh",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ca_pin", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mesh")),
    )
    op.create_table(
        "enrolment_token",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_enrolment_token_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_token")),
    )


def _policies() -> None:
    op.create_table(
        "policy_revision",
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_policy_revision_site_id_site")),
        sa.PrimaryKeyConstraint("site_id", "version", name=op.f("pk_policy_revision")),
    )
    op.create_table(
        "policy_active",
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column("published_by", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_policy_active_site_id_site")),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_policy_active")),
    )
    op.create_table(
        "policy_answer",
        sa.Column("node_id", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site_id", RowId, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_policy_answer_node_id_node")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_policy_answer_site_id_site")),
        sa.PrimaryKeyConstraint("node_id", "generation", "version", name=op.f("pk_policy_answer")),
    )
    op.create_index(op.f("ix_policy_answer_site_id"), "policy_answer", ["site_id"], unique=False)


def _users() -> None:
    op.create_table(
        "user_account",
        sa.Column("id", RowId, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("name", name=op.f("uq_user_account_name")),
    )
    op.create_table(
        "login_session",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", RowId, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_login_session_user_id_user_account")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_login_session")),
    )
    op.create_index(op.f("ix_login_session_user_id"), "login_session", ["user_id"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_api_key_name")),
    )


def _audit() -> None:
    op.create_table(
        "audit_row",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object", sa.String(length=255), nullable=False),
        sa.Column("before", JsonDocument, nullable=True),
        sa.Column("after", JsonDocument, nullable=True),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_row")),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    # The beginning of the chain is here before any writer: two first ones could not both make it.
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "hash": "0" * 64}])
