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
    offer: int
    """Rises each time people give it anew: a node that refused it then tries it again."""


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
    etag: str = ""
    """The state of the site's policies after the change; empty in lists."""


REFUSED = frozenset({"rejected", "rolled_back"})
"""What a node says of a version that it went on without: it would not run, or it did not keep well."""

LARGEST_LEAP = 1_000_000
"""A node that claims a generation further away than this is not believed: it could use up the numbers."""


def next_place(active: Place | None, version: int, furthest: Place | None = None) -> Place:
    """Where a version goes in the order when it is published after the active one. Pure.

    `furthest` is the latest place that a node of the site tells of. It is the new place or beyond it only when this
    database was restored from an older backup; nodes then refuse whatever does not pass what they run, and another
    text at the very place that they run.
    """
    generation, running = active if active is not None else (1, version)
    place = (generation + 1, version) if version < running else (generation, version)
    if furthest is None or furthest[0] > generation + LARGEST_LEAP:
        return place
    taken = furthest > place or (furthest == place and place != active)
    return (furthest[0] + 1, version) if taken else place


def is_news(bundle: Bundle, have: Place, have_sha256: bytes) -> bool:
    """Whether a node that runs `have` lacks this policy: a later place, or another text at its place. Pure.

    Two texts have one place when this database was restored and went another way. The node refuses the second one,
    and so tells people.
    """
    place = (bundle.generation, bundle.version)
    return place > have or (place == have and not same_text(bundle.sha256, have_sha256))


def same_text(wanted: bytes, told: bytes) -> bool:
    """Whether a node that tells of this SHA-256, or of none, may run the wanted text. Pure."""
    return not told or told == wanted
