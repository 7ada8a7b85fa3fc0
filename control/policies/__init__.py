"""Policies: what was uploaded, which version each site shall run, and what its nodes answered."""

from __future__ import annotations
