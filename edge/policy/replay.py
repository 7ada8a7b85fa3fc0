"""What another policy would change: decisions in, differences by study out (pure).

Memory grows with the number of studies, not of instances.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from edge.model import Decision
from edge.policy.model import Policy

Difference = Literal["changed", "nowhere", "failed"]
_FAILED = "the condition failed"


def attributes_read(policy: Policy) -> tuple[str, ...]:
    """The attributes that the policy's conditions look at."""
    used = [route.condition for route in policy.routes if route.condition is not None]
    return tuple(sorted({keyword for condition in used for keyword in (*condition.attributes, *condition.tested)}))


@dataclass(slots=True, kw_only=True)
class StudyDifference:
    """What would be different for one study."""

    study_instance_uid: str
    instances: int = 0
    changed: int = 0
    """Instances that would go somewhere else."""
    nowhere: int = 0
    """Instances that no route would take."""
    failed: int = 0
    """Instances with a condition that fails, or without a readable header."""
    before: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    """Why some failed; names attributes, never values. At most a few."""


class Comparison:
    """Collects, instance by instance, what was decided and what would be."""

    MOST_REASONS = 5

    def __init__(self) -> None:
        self._studies: dict[str, StudyDifference] = {}
        self.instances = 0

    def add(self, study_instance_uid: str, before: frozenset[str], decision: Decision) -> None:
        """One instance that was decided anew."""
        study = self._study(study_instance_uid)
        after = frozenset(decision.destinations)
        study.before |= before
        study.after |= after
        study.changed += before != after
        study.nowhere += not after
        failures = {f"route {o.route}: {o.reason}" for o in decision.outcomes if o.reason.startswith(_FAILED)}
        if failures:
            self._fail(study, failures)

    def add_unreadable(self, study_instance_uid: str, before: frozenset[str], reason: str) -> None:
        """One instance of which nothing can be said, and why."""
        study = self._study(study_instance_uid)
        study.before |= before
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
