"""What it looks like when the database does not answer, or gave up on a transaction: the caller may try again."""

from __future__ import annotations

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DATABASE_OUTAGES: tuple[type[Exception], ...] = (OperationalError, InterfaceError, PoolTimeout)
"""Connection lost or refused, pool used up, deadlock, lock not got in time."""
