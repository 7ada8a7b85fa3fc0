"""Differences by study: added up object by object, in the memory of the studies that are listed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from control.previews.judging import Sight, compared

MOST_REASONS = 5


class Difference(StrEnum):
    """What can be said of a study."""

    CHANGED = "changed"
    NOWHERE = "nowhere"
    FAILED = "failed"
    UNTOLD = "untold"


@dataclass(slots=True, kw_only=True)
class StudyDifference:
    """What would be different for one study of one site."""

    site: str
    study_instance_uid: str
    instances: int = 0
    changed: int = 0
    """Instances that would certainly go somewhere else."""
    nowhere: int = 0
    """Instances that certainly no route would take."""
    failed: int = 0
    """Instances with a condition that fails."""
    untold: int = 0
    """Instances of which it cannot be told here whether they would go somewhere else."""
    before: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    """Where some might go besides, now or then: it cannot be told here."""
    unread: set[str] = field(default_factory=set)
    """What the centre would have to hold to tell."""
    reasons: set[str] = field(default_factory=set)

    def add(self, before: Sight, after: Sight) -> None:
        """One object."""
        verdict = compared(before, after)
        self.instances += 1
        self.changed += verdict == "changed"
        self.nowhere += not after.possible
        self.failed += bool(after.failures)
        self.before |= before.certain
        self.after |= after.certain
        self.perhaps |= (before.possible - before.certain) | (after.possible - after.certain)
        self.reasons.update(after.failures[: max(0, MOST_REASONS - len(self.reasons))])
        if verdict == "untold":
            self.untold += 1
            self.unread |= before.unread | after.unread


class Tally:
    """All studies; only those with one difference are kept, and only so many."""

    def __init__(self, listed: Difference | None, limit: int) -> None:
        self._listed, self._limit = listed, limit
        self.studies = self.instances = 0
        self.counts: Counter[Difference] = Counter()
        self.unread: Counter[str] = Counter()
        """Keyword -> studies of which it would decide something."""
        self.items: list[StudyDifference] = []

    def add(self, studies: Iterable[StudyDifference]) -> None:
        """Studies that are complete."""
        for one in studies:
            self.studies += 1
            self.instances += one.instances
            self.counts.update(kind for kind in Difference if getattr(one, kind.value))
            self.unread.update(one.unread)
            wanted = self._listed is not None and getattr(one, self._listed.value)
            if wanted and len(self.items) < self._limit:
                self.items.append(one)
