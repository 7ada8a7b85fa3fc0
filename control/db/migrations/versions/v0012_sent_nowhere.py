"""Studies of which some reception had no destination are found like any value of which a study has several."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say it of what is there already."""
    op.execute(
        "INSERT INTO study_facet (study_instance_uid, site, kind, value, listed_at)"
        " SELECT DISTINCT i.study_instance_uid, i.site, 'sent', 'nowhere', s.listed_at FROM instance AS i"
        " JOIN study_site AS s ON s.study_instance_uid = i.study_instance_uid AND s.site = i.site"
        " WHERE i.destinations = 0"
    )
