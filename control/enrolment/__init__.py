"""Enrolment: one-time tokens, the mesh's certificate authority, certificates of nodes."""

from __future__ import annotations
