"""Versions of policies as values, and where a version goes in the order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from control.policies.board import Place
from control.policies.preview import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A published policy as a node gets it."""

    site: str
    generation: int
    version: int
    document: bytes
    sha256: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A node's word on a version."""

    node_id: str
    generation: int
    state: str
    error: str
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """An uploaded document without its text."""

    site: str
    version: int
    sha256: bytes
    created_at: datetime
    created_by: str
    generation: int | None
    """Set when this is what the site shall run."""
    answers: tuple[Answer, ...] = ()
    warnings: tuple[Finding, ...] = ()


def next_place(active: Place | None, version: int) -> Place:
    """Where a version goes in the order when it is published after this one. Pure."""
    if active is None:
        return (1, version)
    generation, running = active
    return (generation + 1, version) if version < running else (generation, version)
