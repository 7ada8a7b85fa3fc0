"""What looking at scopes gives, as values."""

from __future__ import annotations

from dataclasses import dataclass

from control.policies.board import Place
from control.policy_difference import Change
from control.scopes.render import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveFacts:
    """What a site or node is to run."""

    site: str
    node_id: str
    document: bytes
    origins: tuple[Origin, ...]
    layers: tuple[str, ...]
    """Empty when no layer is over the site: then it is what was published to the site itself."""
    place: Place | None
    """Of what it shall run now."""
    published: bool
    """Whether that is this very text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two documents have different."""

    before: str
    after: str
    changes: tuple[Change, ...]
    text: str
    """As `diff -u` says it."""
