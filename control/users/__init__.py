"""Users, their sessions, and API keys."""

from __future__ import annotations
