"""Batches of events that nodes push, applied exactly once in effect."""

from __future__ import annotations
