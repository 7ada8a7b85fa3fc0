"""What another policy would change: decisions in, differences by study out (pure).

Memory grows with the number of studies, not of instances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.model import Decision, Priority, Wait
from edge.policy.model import Policy

Difference = Literal["changed", "nowhere", "priority", "waiting", "failed"]
_FAILED = "the condition failed"


def attributes_read(policy: Policy) -> tuple[str, ...]:
    """The attributes that the policy's conditions look at."""
    used = [route.condition for route in policy.routes if route.condition is not None]
    return tuple(sorted({keyword for condition in used for keyword in (*condition.attributes, *condition.tested)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was decided of one instance."""

    destinations: frozenset[str] = frozenset()
    priorities: Mapping[str, Priority] = field(default_factory=dict)
    """One that is not named here was normal."""
    waited: frozenset[str] = frozenset()
    """Destinations for which it waited for its series or study."""
    scopes: frozenset[str] = frozenset({"series", "study"})
    """What it can wait for: it names its own."""


@dataclass(slots=True, kw_only=True)
class StudyDifference:
    """What would be different for one study."""

    study_instance_uid: str
    instances: int = 0
    changed: int = 0
    """Instances that would go somewhere else."""
    nowhere: int = 0
    """Instances that no route would take."""
    priority: int = 0
    """Instances that would be more or less urgent for a destination that they went to."""
    waiting: int = 0
    """Instances that would wait before a destination that they went to at once, or go at once where they waited."""
    failed: int = 0
    """Instances with a condition that fails, or without a readable header."""
    before: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    turns: set[str] = field(default_factory=set)
    """What becomes of urgency and waiting, by destination."""
    reasons: set[str] = field(default_factory=set)
    """Why some failed; names attributes, never values. At most a few."""


class Comparison:
    """Collects, instance by instance, what was decided and what would be."""

    MOST_REASONS = 5

    def __init__(self) -> None:
        self._studies: dict[str, StudyDifference] = {}
        self.instances = 0

    def add(self, study_instance_uid: str, before: Before, decision: Decision) -> None:
        """One instance that was decided anew."""
        study = self._study(study_instance_uid)
        after = frozenset(decision.destinations)
        study.before |= before.destinations
        study.after |= after
        study.changed += before.destinations != after
        study.nowhere += not after
        kept = sorted(before.destinations & after)
        urgency, waits = _other_urgency(kept, before, decision), _other_waits(kept, before, decision)
        study.priority += bool(urgency)
        study.waiting += bool(waits)
        study.turns.update(urgency, waits)
        failures = {f"route {o.route}: {o.reason}" for o in decision.outcomes if o.reason.startswith(_FAILED)}
        if failures:
            self._fail(study, failures)

    def add_unreadable(self, study_instance_uid: str, before: Before, reason: str) -> None:
        """One instance of which nothing can be said, and why."""
        study = self._study(study_instance_uid)
        study.before |= before.destinations
        self._fail(study, {reason})

    def count(self, difference: Difference | None = None) -> int:
        """How many studies there are, or how many of them have this difference."""
        return len(self._studies) if difference is None else sum(1 for _ in self.studies(difference))

    def studies(self, difference: Difference) -> Iterator[StudyDifference]:
        """The studies with this difference, in the order in which they came."""
        return (study for study in self._studies.values() if getattr(study, difference))

    def _study(self, uid: str) -> StudyDifference:
        study = self._studies.setdefault(uid, StudyDifference(study_instance_uid=uid))
        study.instances += 1
        self.instances += 1
        return study

    def _fail(self, study: StudyDifference, reasons: set[str]) -> None:
        study.failed += 1
        study.reasons.update(sorted(reasons)[: max(0, self.MOST_REASONS - len(study.reasons))])


def _other_urgency(kept: list[str], before: Before, decision: Decision) -> list[str]:
    found = []
    for name in kept:
        was, is_now = (one.get(name, Priority.NORMAL) for one in (before.priorities, decision.priorities))
        if was != is_now:
            found.append(f"{name}: {was.word} -> {is_now.word}")
    return found


def _other_waits(kept: list[str], before: Before, decision: Decision) -> list[str]:
    found = []
    for name in kept:
        wait: Wait | None = decision.waits.get(name)
        if wait is not None and wait.scope not in before.scopes:
            wait = None  # nobody could say for what
        if (wait is not None) != (name in before.waited):
            change = "waited -> at once" if wait is None else f"at once -> when its {wait.scope} is complete"
            found.append(f"{name}: {change}")
    return found
