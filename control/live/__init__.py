"""What just happened, as a feed that clients can resume."""

from __future__ import annotations
