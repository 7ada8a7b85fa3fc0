"""Search: what a study's row needs to be found by every field, and keys that are compared byte by byte."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from control.db.base import TermText, UtcDateTime, key_text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEYS = {
    "study": {"study_instance_uid": 256},
    "study_site": {"study_instance_uid": 256, "site": 63},
    "study_term": {"study_instance_uid": 256, "site": 63},
    "series": {"study_instance_uid": 256, "series_instance_uid": 256, "site": 63},
    "instance": {"node_id": 64, "instance_id": 32, "site": 63, "sop_instance_uid": 256, "study_instance_uid": 256,
                 "sop_class_uid": 256, "series_instance_uid": 256, "transfer_syntax_uid": 256, "epoch": 16},
    "delivery": {"node_id": 64, "instance_id": 32, "destination": 128, "site": 63, "sop_instance_uid": 256,
                 "study_instance_uid": 256, "epoch": 16},
}  # fmt: skip
"""Table -> column -> length: what PostgreSQL would else compare by the rules of a language."""

FACETS = {"modality": "UPPER(modality)", "calling": "calling_ae_title", "called": "called_ae_title"}
"""Kind -> where the rows that are there already have it."""


def upgrade() -> None:
    """Change the tables, and fill what is new from what is there."""
    _drop_indexes()
    if op.get_bind().dialect.name == "postgresql":
        _compare_keys_by_bytes()
    _studies()
    _facets()
    _instances()
    op.create_index("ix_series_uid", "series", ["series_instance_uid"], unique=False)
    op.create_index("ix_delivery_study", "delivery", ["study_instance_uid", "site", "unfinished"], unique=False)
    op.create_index(
        "ix_delivery_unfinished",
        "delivery",
        ["unfinished", "site", "study_instance_uid"],
        unique=False,
        postgresql_where=sa.text("unfinished <> 0"),
        sqlite_where=sa.text("unfinished <> 0"),
    )


def _drop_indexes() -> None:
    for table, names in {
        "study": ["ix_study_listed"],
        "study_site": ["ix_study_site_site"],
        "series": ["ix_series_modality"],
        "instance": ["ix_instance_study", "ix_instance_listed"],
        "delivery": ["ix_delivery_study", "ix_delivery_unfinished"],
    }.items():
        for name in names:
            op.drop_index(name, table_name=table)


def _compare_keys_by_bytes() -> None:
    for table, columns in KEYS.items():
        changes = (f'ALTER COLUMN {name} TYPE varchar({length}) COLLATE "C"' for name, length in columns.items())
        op.execute(f"ALTER TABLE {table} {', '.join(changes)}")
    op.execute('ALTER TABLE study_site ALTER COLUMN patient_birth_date TYPE text COLLATE "C"')


def _studies() -> None:
    epoch = sa.text("'epoch'" if op.get_bind().dialect.name == "postgresql" else "0")
    op.add_column("study_site", sa.Column("listed_at", UtcDateTime(), server_default=epoch, nullable=False))
    op.execute(
        "UPDATE study_site SET listed_at = (SELECT listed_at FROM study"
        " WHERE study.study_instance_uid = study_site.study_instance_uid)"
    )
    for name in ("issuer_of_patient_id", "patient_name_folded"):
        op.add_column("study_site", sa.Column(name, TermText, server_default="", nullable=False))
    _fold_names()
    for name, columns in {
        "ix_study_site_listed": ["listed_at", "study_instance_uid"],
        "ix_study_site_site": ["site", "listed_at", "study_instance_uid"],
        "ix_study_site_issuer": ["issuer_of_patient_id", "listed_at", "study_instance_uid"],
        "ix_study_site_name": ["patient_name_folded"],
        "ix_study_site_birth_date": ["patient_birth_date"],
        "ix_study_site_first_received": ["first_received_at"],
    }.items():
        op.create_index(name, "study_site", columns, unique=False)


def _fold_names() -> None:
    """By Python's rules: those of the two databases differ from them, and from each other."""
    rows = sa.table("study_site", sa.column("patient_name"), sa.column("patient_name_folded"))
    bind = op.get_bind()
    names = bind.scalars(sa.select(rows.c.patient_name).where(rows.c.patient_name != "").distinct()).all()
    bind.execute(sa.text("CREATE TEMPORARY TABLE folded (name text PRIMARY KEY, folded text NOT NULL)"))
    given: list[dict[str, Any]] = [{"name": name, "folded": name.casefold()} for name in names]
    if given:
        bind.execute(sa.text("INSERT INTO folded VALUES (:name, :folded)"), given)
    op.execute(
        "UPDATE study_site SET patient_name_folded = (SELECT folded FROM folded WHERE name = patient_name)"
        " WHERE patient_name <> ''"
    )
    op.execute("DROP TABLE folded")


def _facets() -> None:
    op.create_table(
        "study_facet",
        sa.Column("study_instance_uid", key_text(256), nullable=False),
        sa.Column("site", key_text(63), nullable=False),
        sa.Column("kind", key_text(16), nullable=False),
        sa.Column("value", TermText, nullable=False),
        sa.Column("listed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "site", "kind", "value", name=op.f("pk_study_facet")),
    )
    for kind, source in FACETS.items():
        table = "series" if kind == "modality" else "instance"
        op.execute(
            f"INSERT INTO study_facet (study_instance_uid, site, kind, value, listed_at)"  # noqa: S608 - see FACETS
            f" SELECT DISTINCT t.study_instance_uid, t.site, '{kind}', {source}, study.listed_at FROM {table} AS t"
            f" JOIN study ON study.study_instance_uid = t.study_instance_uid WHERE {source} <> ''"
        )
    op.create_index("ix_study_facet_value", "study_facet", ["kind", "value", "listed_at", "study_instance_uid"])


def _instances() -> None:
    op.add_column("instance", sa.Column("destinations", sa.SmallInteger(), nullable=True))
    op.execute(
        "UPDATE instance SET destinations = (SELECT COUNT(*) FROM delivery WHERE delivery.node_id = instance.node_id"
        " AND delivery.instance_id = instance.instance_id) WHERE received_at IS NOT NULL"
    )
    op.create_index("ix_instance_study", "instance", ["study_instance_uid"], unique=False)
    op.create_index("ix_instance_listed", "instance", ["listed_at"], unique=False)
    op.create_index(
        "ix_instance_sent_nowhere",
        "instance",
        ["study_instance_uid", "site"],
        unique=False,
        postgresql_where=sa.text("destinations = 0"),
        sqlite_where=sa.text("destinations = 0"),
    )
