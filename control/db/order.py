"""Which of two reports about one thing is the later one, as a SQL condition."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from control.db.upsert import Columns


def tells_later(stands: Columns, comes: Columns, tie: ColumnElement[bool]) -> ColumnElement[Any]:
    """Inside one epoch the sequence decides, whatever the node's clock did; between epochs only time can.

    `tie` decides between epochs at the very same time.
    """
    return or_(
        and_(stands.epoch == comes.epoch, comes.sequence > stands.sequence),
        and_(stands.epoch != comes.epoch, comes.occurred_at > stands.occurred_at),
        and_(stands.epoch != comes.epoch, comes.occurred_at == stands.occurred_at, tie),
    )
