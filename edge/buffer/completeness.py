"""When a series or a study is complete (pure): nothing came for its quiet time and nobody is still sending it.

When its modality said which images it made, and all are here, it is complete as soon as nobody is sending; while some
are missing it waits longer, to an end: a modality that announces what it never sends must not hold an image for ever.
When it said nothing, gaps in the images' numbers are a weak sign that some are on their way: one more quiet time.

Time here is counted, not read off a clock: what passed while the node ran, as the kernel counts it. So setting the
clock, to either side, moves nothing; time in which the node was away, and could not have heard of another image, is no
quiet; and a node that starts again goes on counting where it was. The cost: what was counted in the last second
before a crash is counted again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

MOST_QUIET_AT_ONCE = timedelta(seconds=5)
"""Who did not look for longer than this may have missed what came: it counts as no more than this of quiet."""


AT_ONCE = timedelta(microseconds=1)
"""Quiet at one look, with no association of it open."""


class Presence(StrEnum):
    """What is known of the images that were announced."""

    UNKNOWN = "unknown"
    """Nothing was announced, or not enough to say that all are here."""
    ALL_HERE = "all here"
    MISSING = "missing"
    GAPS = "gaps"
    """Nothing was announced, and the images' numbers have gaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """How far a series or study is."""

    quiet: timedelta
    """So long nothing may have come."""
    at_most: timedelta
    """So long it waits, whatever comes: a sender that never ends must not hold it for ever."""
    missing_quiet: timedelta = timedelta()
    """So long nothing may have come while images that were announced are missing; `quiet` when that is longer."""
    presence: Presence = Presence.UNKNOWN
    """What its modality said of it."""
    quiet_for: timedelta = timedelta()
    """How long nothing came."""
    open_for: timedelta = timedelta()
    """How long since its first image."""

    @property
    def needed_quiet(self) -> timedelta:
        """So long nothing may have come, as far as its modality's word goes."""
        if self.presence is Presence.ALL_HERE:
            return AT_ONCE
        longest = max(self.quiet, self.missing_quiet)
        if self.presence is Presence.GAPS:
            return min(2 * self.quiet, longest)
        return longest if self.presence is Presence.MISSING else self.quiet

    @property
    def complete(self) -> bool:
        """Whether it goes now."""
        return self.quiet_for >= self.needed_quiet or self.open_for >= self.at_most

    @property
    def left(self) -> timedelta:
        """How long until it goes when nothing more comes."""
        return max(timedelta(), min(self.needed_quiet - self.quiet_for, self.cap_left))

    @property
    def cap_left(self) -> timedelta:
        """How long until it goes whatever comes."""
        return max(timedelta(), self.at_most - self.open_for)


def time_passed(group: Gathering, passed: timedelta, *, busy: bool) -> Gathering:
    """The same after this time. `busy`: an association that sent images of it was open meanwhile."""
    passed = max(passed, timedelta())
    quiet_for = timedelta() if busy else group.quiet_for + min(passed, MOST_QUIET_AT_ONCE)
    return replace(group, quiet_for=quiet_for, open_for=group.open_for + passed)
