"""Pixels decoded in a process of their own: a codec that hangs or dies takes nothing with it."""

from __future__ import annotations
