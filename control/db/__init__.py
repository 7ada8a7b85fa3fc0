"""The database of the control plane: PostgreSQL, or SQLite on one machine."""

from __future__ import annotations
