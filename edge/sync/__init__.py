"""The link to the control plane: events up, policy down, presence; the site never waits for any of it."""

from __future__ import annotations
