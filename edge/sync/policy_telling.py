"""How the centre and people on site are told what runs and what was tried."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from edge.errors import PolicyError
from edge.health import Condition
from edge.sync import conditions
from edge.sync.conditions import LinkHealth
from edge.sync.policy_place import place_of
from edge.sync.policy_rejections import Rejection
from edge.sync.policy_stages import TOLD_AS, Stage
from edge.sync.policy_store import StoredPolicy
from edge.sync.probation import Counts
from mesh.v1.common_pb2 import PolicyBundle, PolicyVersion
from mesh.v1.sync_pb2 import PolicyFigures, PolicyStatus


class PolicyTelling:
    """The policy part of the status report, and the conditions that belong to it. For any thread."""

    def __init__(self, *, health: LinkHealth, on_change: Callable[[], None]) -> None:
        self._health, self._on_change = health, on_change
        self._lock = threading.Lock()
        self._status = PolicyStatus()

    def status(self) -> PolicyStatus:
        """What was told last."""
        with self._lock:
            status = PolicyStatus()
            status.CopyFrom(self._status)
        return status

    def tell(self, offered: PolicyBundle, stage: Stage, *, running: PolicyBundle | None, error: str = "") -> None:
        """A policy has come so far."""
        status = PolicyStatus(
            attempt=offered.version, attempt_state=TOLD_AS[stage], error=error, stage=stage, offer=offered.offer
        )
        self._tell(status, running)

    def tell_rejection(self, rejection: Rejection, *, running: PolicyBundle | None) -> None:
        """A policy does not run here, and why."""
        stage = Stage.ROLLED_BACK if rejection.rolled_back else Stage.REJECTED
        self._health.hold(_refused(rejection))
        status = PolicyStatus(
            attempt=PolicyVersion(generation=rejection.place.generation, version=rejection.place.version),
            attempt_state=TOLD_AS[stage],
            error=rejection.error,
            stage=stage,
            code=rejection.code,
            offer=rejection.offer,
        )
        self._tell(status, running)

    def _tell(self, status: PolicyStatus, running: PolicyBundle | None) -> None:
        if running is not None:
            status.active.CopyFrom(running.version)
            status.active_sha256 = running.sha256
        with self._lock:
            self._status = status
        self._on_change()


def figures_message(now: Counts, then: Counts, *, seconds: float, probation_left: float) -> PolicyFigures:
    """What happened since a policy was activated, as the centre reads it."""
    added = now.since(then)
    return PolicyFigures(
        seconds=int(seconds),
        accepted=added.accepted,
        delivered=added.delivered,
        failed=added.failed,
        parked=added.parked,
        quarantined=added.quarantined,
        unrouted=added.unrouted,
        waiting=now.waiting,
        waiting_then=then.waiting,
        restarts=added.restarts,
        probation_seconds_left=max(0, math.ceil(probation_left)),
    )


def error_text(error: PolicyError) -> str:
    """The refusal as people read it, each error with its line, its column and what to write instead."""
    lines = [str(error)]
    for found in error.diagnostics:
        if found.severity == "error":
            place = f"line {found.line}, column {found.column}: " if found.line else ""
            lines.append(f"{place}{found.message} {found.hint}".rstrip())
    return "\n".join(lines)


def fallback_text(stored: StoredPolicy) -> str:
    """Why an earlier policy runs than the newest on this disk."""
    damaged = "; ".join(stored.passed_over)
    return f"Policy {place_of(stored.bundle)} runs because newer files on this disk are damaged: {damaged}"


def not_saved(running: PolicyBundle, error: OSError) -> Condition:
    """A policy runs that the disk does not hold as it should."""
    why = error.strerror or type(error).__name__
    return conditions.POLICY_NOT_SAVED.saying(f"Policy {place_of(running)} runs, but the disk did not take it: {why}.")


def _refused(rejection: Rejection) -> Condition:
    first_line = rejection.error.partition("\n")[0]
    if rejection.rolled_back:
        text = f"Policy {rejection.place} from the control plane was taken back: {first_line}"
        return conditions.POLICY_ROLLED_BACK.saying(text)
    text = f"Policy {rejection.place} from the control plane must not run here: {first_line}"
    return conditions.POLICY_REFUSED.saying(text)
