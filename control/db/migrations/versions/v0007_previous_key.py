"""The key before the last renewal: a node whose answer was lost still proves itself with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "node", sa.Column("previous_key_fingerprint", sa.String(length=64), server_default="", nullable=False)
    )
