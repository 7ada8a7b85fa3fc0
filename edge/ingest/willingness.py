"""Whether this node wants associations, in the words of HAProxy's agent check (pure).

Source: HAProxy 2.6 configuration manual, `agent-check`: an administrative word (`ready`, `drain`), an operational one
(`up`), and a share of the weight in per cent.
"""

from __future__ import annotations

from dataclasses import dataclass

SILENT_SECONDS = 2.5
"""A disk that takes nothing for so long, or a core that says nothing, is worth no more associations."""
BACK_AT = 0.8
"""A queue that was too deep is no longer when it is so much of the limit: no coming and going at its edge."""
STEP = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The node at one moment."""

    asked_to_drain: bool
    room_on_disk: bool
    disk_silent_seconds: float
    """Since the disk last took a small file for good."""
    core_silent_seconds: float
    """Since the process that routes and keeps the index last said that it does."""
    waiting: int
    """Deliveries that are not done."""
    most_waiting: int
    """Above, no associations are wanted; 0 for no such limit."""
    associations: int
    most_associations: int


def reason_to_stand_aside(facts: Facts, *, was_deep: bool = False) -> str:
    """Why no new associations are wanted, in a few words; empty when they are."""
    if facts.asked_to_drain:
        return "it drains, as somebody asked"
    if not facts.room_on_disk:
        return "its disk is nearly full"
    if facts.disk_silent_seconds > SILENT_SECONDS:
        return "its disk takes nothing"
    if facts.core_silent_seconds > SILENT_SECONDS:
        return "its core does not answer"
    if is_deep(facts, was_deep=was_deep):
        return "its queue is too deep"
    return ""


def is_deep(facts: Facts, *, was_deep: bool) -> bool:
    """Whether the queue is deeper than this node likes."""
    limit = facts.most_waiting * BACK_AT if was_deep else facts.most_waiting
    return bool(facts.most_waiting) and facts.waiting > limit


def answer(facts: Facts, *, was_deep: bool = False) -> str:
    """The line for HAProxy."""
    reason = reason_to_stand_aside(facts, was_deep=was_deep)
    return f"drain #{reason}\n" if reason else f"ready up {share(facts)}%\n"


def share(facts: Facts) -> int:
    """Of the usual weight, in per cent: less the more associations are open, in steps, and never nothing."""
    free = 1 - facts.associations / max(1, facts.most_associations)
    return max(1, min(100, -(-int(100 * free) // STEP) * STEP))
