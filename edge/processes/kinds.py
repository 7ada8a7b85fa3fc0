"""Which processes a node has, and in which order they end."""

from __future__ import annotations

from dataclasses import dataclass

from edge.settings import EdgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One child of the supervisor."""

    kind: str
    number: int
    of: int
    name: str


STOP_ORDER = ("ingest", "forward", "core")
"""First nothing comes in any more, then nothing goes out, then the one ends that routes, keeps and tells."""
STOP_SECONDS = {"ingest": 2.8, "forward": 5.2, "core": 8.6}
"""Seconds after the request to stop by which the kind must have ended, or is killed."""


def roles(settings: EdgeSettings) -> tuple[Role, ...]:
    """The children of a node with these settings."""
    receiving, delivering = settings.receiving(), settings.forward_processes
    return (
        Role(kind="core", number=0, of=1, name="core"),
        *(Role(kind="ingest", number=n, of=receiving, name=f"ingest-{n}") for n in range(receiving)),
        *(Role(kind="forward", number=n, of=delivering, name=f"forward-{n}") for n in range(delivering)),
    )
