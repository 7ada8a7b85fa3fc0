"""Who changed what, in rows that only grow and are chained by hash."""

from __future__ import annotations
