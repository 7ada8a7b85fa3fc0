"""Which object reached which node, when, and from whom."""

from __future__ import annotations
