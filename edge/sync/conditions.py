"""What is wrong with the link now, in words for people, each with a stable code."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

import structlog

log = structlog.get_logger(__name__)

Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCondition:
    """One thing that is wrong: the fields of mesh.v1 HealthCondition."""

    code: str
    severity: Severity
    text: str
    """One plain sentence."""
    hint: str
    """What to do."""


class ConditionBoard:
    """The conditions that hold now, each code once, in the order in which they came. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, LinkCondition] = {}

    def hold(self, condition: LinkCondition) -> None:
        """This is wrong from now on; logged when it is news."""
        with self._lock:
            known = self._held.get(condition.code)
            self._held[condition.code] = condition
        if known != condition:
            level = log.error if condition.severity == "high" else log.warning
            level("link.condition", code=condition.code, text=condition.text, hint=condition.hint)

    def clear(self, *codes: str) -> None:
        """These are right again; logged when they were not."""
        with self._lock:
            gone = [code for code in codes if self._held.pop(code, None) is not None]
        for code in gone:
            log.info("link.condition-over", code=code)

    def all(self) -> tuple[LinkCondition, ...]:
        """What is wrong now."""
        with self._lock:
            return tuple(self._held.values())
