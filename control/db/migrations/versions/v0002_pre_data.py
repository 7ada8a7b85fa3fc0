"""The tables of the mesh's data: studies, receptions, deliveries, cursors, presence, the live feed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from control.db.base import JsonDocument, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ByteOrderText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create them."""
    _studies()
    _instances()
    _deliveries()
    _inbox()
    _presence()
    _live()


def _studies() -> None:
    op.create_table(
        "study",
        sa.Column("study_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("listed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name=op.f("pk_study")),
    )
    op.create_index("ix_study_listed", "study", ["listed_at", "study_instance_uid"], unique=False)
    op.create_table(
        "study_site",
        sa.Column("study_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("patient_id", ByteOrderText, nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("patient_birth_date", sa.Text(), nullable=False),
        sa.Column("patient_sex", sa.Text(), nullable=False),
        sa.Column("accession_number", ByteOrderText, nullable=False),
        sa.Column("study_date", ByteOrderText, nullable=False),
        sa.Column("study_time", sa.Text(), nullable=False),
        sa.Column("study_description", sa.Text(), nullable=False),
        sa.Column("first_received_at", UtcDateTime(), nullable=True),
        sa.Column("last_received_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("study_instance_uid", "site", name=op.f("pk_study_site")),
    )
    op.create_index("ix_study_site_accession_number", "study_site", ["accession_number"], unique=False)
    op.create_index("ix_study_site_patient_id", "study_site", ["patient_id"], unique=False)
    op.create_index("ix_study_site_site", "study_site", ["site"], unique=False)
    op.create_index("ix_study_site_study_date", "study_site", ["study_date"], unique=False)
    op.create_table(
        "study_term",
        sa.Column("term", ByteOrderText, nullable=False),
        sa.Column("study_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("term", "study_instance_uid", "site", name=op.f("pk_study_term")),
    )
    op.create_index("ix_study_term_study", "study_term", ["study_instance_uid"], unique=False)
    # ### end Alembic commands ###
    op.create_table(
        "series",
        sa.Column("study_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("series_number", sa.Text(), nullable=False),
        sa.Column("series_description", sa.Text(), nullable=False),
        sa.Column("body_part_examined", sa.Text(), nullable=False),
        sa.Column("last_received_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("study_instance_uid", "series_instance_uid", "site", name=op.f("pk_series")),
    )
    op.create_index("ix_series_modality", "series", ["modality"], unique=False)


def _instances() -> None:
    op.create_table(
        "instance",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=256), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=256), nullable=False),
        sa.Column("data_set_bytes", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae_title", sa.Text(), nullable=False),
        sa.Column("called_ae_title", sa.Text(), nullable=False),
        sa.Column("peer_address", sa.Text(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=True),
        sa.Column("tags", JsonDocument, nullable=False),
        sa.Column("flags", JsonDocument, nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("reasons", JsonDocument, nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("listed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "instance_id", name=op.f("pk_instance")),
    )
    op.create_index("ix_instance_listed", "instance", ["listed_at", "node_id", "instance_id"], unique=False)
    op.create_index("ix_instance_sop", "instance", ["sop_instance_uid"], unique=False)
    op.create_index("ix_instance_study", "instance", ["study_instance_uid", "sop_instance_uid"], unique=False)


def _deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=32), nullable=False),
        sa.Column("destination", sa.String(length=128), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=256), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("unfinished", sa.SmallInteger(), nullable=False),
        sa.Column("finality", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("dimse_status", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("delivered_at", UtcDateTime(), nullable=True),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "instance_id", "destination", name=op.f("pk_delivery")),
    )
    op.create_index(
        "ix_delivery_study", "delivery", ["study_instance_uid", "sop_instance_uid", "unfinished"], unique=False
    )
    op.create_index(
        "ix_delivery_unfinished",
        "delivery",
        ["unfinished", "site", "study_instance_uid"],
        unique=False,
        postgresql_where=sa.text("unfinished > 0"),
        sqlite_where=sa.text("unfinished > 0"),
    )


def _inbox() -> None:
    op.create_table(
        "node_cursor",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("ack_sequence", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("pushed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "epoch", name=op.f("pk_node_cursor")),
    )
    op.create_index("ix_node_cursor_site", "node_cursor", ["site", "pushed_at"], unique=False)


def _live() -> None:
    op.create_table(
        "live_counter",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_counter")),
    )
    op.create_table(
        "live_event",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("body", JsonDocument, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_live_event")),
    )
    op.create_index("ix_live_event_at", "live_event", ["at"], unique=False)


def _presence() -> None:
    op.create_table(
        "node_presence",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_presence")),
    )
