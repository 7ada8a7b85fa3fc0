"""The policy duty: fetch, verify, let the node try it, and only then keep it. Until then the one before stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import assert_never

import structlog

from edge.errors import PolicyError
from edge.health import Condition
from edge.sync import conditions
from edge.sync.conditions import LinkHealth
from edge.sync.policy_offer import Nothing, Refuse, Take, judge
from edge.sync.policy_store import PolicyStore, StoredPolicy, place_of, rejection_of
from edge.sync.uplink import Uplink
from mesh.v1.common_pb2 import PolicyBundle, PolicyVersion
from mesh.v1.sync_pb2 import (
    ATTEMPT_STATE_APPLIED,
    ATTEMPT_STATE_APPLYING,
    ATTEMPT_STATE_REJECTED,
    AttemptState,
    PolicyStatus,
    PullPolicyRequest,
)

log = structlog.get_logger(__name__)

LONG_POLL_SECONDS = 50
AFTER_REFUSAL_SECONDS = 60.0
"""How often to ask again while the centre still offers what was refused here; a nudge comes sooner."""
AFTER_OFFER_SECONDS = 1.0
"""Time for the status report to arrive, so that a centre that remembers refusals does not offer it again."""
MAX_ERROR_TEXT = 4000


class PullPolicy:
    """One duty of the link. `state` is what ReportStatus tells: what runs, and what was last tried."""

    name = "policy"

    def __init__(
        self,
        *,
        uplink: Uplink,
        policies: PolicyStore,
        health: LinkHealth,
        running: PolicyBundle | None,
        apply_policy: Callable[[PolicyBundle], None],
        on_change: Callable[[], None] = lambda: None,
        long_poll_seconds: int = LONG_POLL_SECONDS,
        after_refusal_seconds: float = AFTER_REFUSAL_SECONDS,
    ) -> None:
        self._uplink = uplink
        self._policies = policies
        self._health = health
        self._running = running
        self._apply = apply_policy
        self._on_change = on_change
        self._long_poll = long_poll_seconds
        self._after_refusal = after_refusal_seconds
        self._unsaved: PolicyBundle | None = None
        self._rejection = policies.rejected()
        self._deciding = threading.Lock()
        self._lock = threading.Lock()
        self._status = self._status_at_start()

    def state(self) -> PolicyStatus:
        """What runs and what was last tried, for the status report. For any thread."""
        with self._lock:
            status = PolicyStatus()
            status.CopyFrom(self._status)
        return status

    def step(self) -> float:
        """Ask once, and act on the answer; say how long to wait. Raises UplinkError when there was no answer."""
        with self._deciding:
            self._save_again()
            if (candidate := self._policies.take_candidate()) is not None:
                self._consider(candidate, asked_with=self._running)
        asked_with = self._running
        if (offered := self._ask(asked_with, wait_seconds=self._long_poll)) is None:
            return 0.0
        with self._deciding:
            return self._consider(offered, asked_with=asked_with)

    def look(self) -> None:
        """Ask without waiting, beside a long poll that may be under way. Raises UplinkError."""
        asked_with = self._running
        if (offered := self._ask(asked_with, wait_seconds=0)) is not None:
            with self._deciding:
                self._consider(offered, asked_with=asked_with)

    def _ask(self, running: PolicyBundle | None, *, wait_seconds: int) -> PolicyBundle | None:
        request = PullPolicyRequest(wait_seconds=wait_seconds)
        if running is not None:
            request.have.CopyFrom(running.version)
            request.have_sha256 = running.sha256
        return self._uplink.pull_policy(request)

    def _consider(self, offered: PolicyBundle, *, asked_with: PolicyBundle | None) -> float:
        """Deal with one offer; say how long to wait before the next question: never a hot loop."""
        answer = judge(
            offered,
            running=self._running,
            asked_with=asked_with,
            rejection=self._rejection,
            trouble=self._signature_trouble(offered),
        )
        match answer:
            case Take():
                return self._try(offered)
            case Nothing(remembered=remembered):
                # The centre offers it although it was told of the refusal, or cannot have heard of it.
                return AFTER_OFFER_SECONDS if remembered is None else self._after_refusal
            case Refuse(reason=reason):
                return self._reject(offered, reason)
        assert_never(answer)

    def _signature_trouble(self, offered: PolicyBundle) -> str:
        try:
            self._policies.verify(offered)
        except PolicyError as error:
            return f"{error} {error.hint}".strip()
        return ""

    def _try(self, offered: PolicyBundle) -> float:
        self._tell(offered, ATTEMPT_STATE_APPLYING, "")
        try:
            self._apply(offered)
        except PolicyError as error:
            return self._reject(offered, error_text(error))
        except Exception as error:
            # Not the policy's fault for certain, and a refusal would be the last word: it is still being applied.
            log.exception("policy.apply-failed", policy=str(place_of(offered)))
            why = f"The node failed to apply it and will try again: {type(error).__name__}"
            self._tell(offered, ATTEMPT_STATE_APPLYING, why)
            return self._after_refusal
        self._running = offered
        self._unsaved = offered
        self._rejection = None
        self._save_again()
        log.info("policy.applied", policy=str(place_of(offered)))
        self._health.clear(conditions.POLICY_REFUSED.code)
        self._tell(offered, ATTEMPT_STATE_APPLIED, "")
        return AFTER_OFFER_SECONDS

    def _save_again(self) -> None:
        """What runs becomes what the next start runs; tried again for as long as the disk does not take it."""
        if self._unsaved is None:
            return
        try:
            self._policies.activate(self._unsaved)
            self._policies.forget_rejection()
        except OSError as error:
            self._health.hold(_not_saved(str(place_of(self._unsaved)), error))
            return
        self._unsaved = None
        self._health.clear(conditions.POLICY_NOT_SAVED.code, conditions.POLICY_FALLBACK.code)

    def _reject(self, offered: PolicyBundle, reason: str) -> float:
        reason = reason[:MAX_ERROR_TEXT]
        log.error("policy.refused", policy=str(place_of(offered)), reason=reason)
        self._rejection = rejection_of(offered, reason)
        try:
            self._policies.remember(self._rejection)
        except OSError as error:
            log.warning("policy.refusal-not-saved", error=str(error))
        self._health.hold(_refused(str(place_of(offered)), reason))
        self._tell(offered, ATTEMPT_STATE_REJECTED, reason)
        return AFTER_OFFER_SECONDS

    def _status_at_start(self) -> PolicyStatus:
        """What a restart must not forget: a refused policy stays told until another one runs."""
        if (stored := next(self._policies.good(), None)) is not None and stored.passed_over:
            self._health.hold(conditions.POLICY_FALLBACK.saying(_fallback(stored)))
        rejection = self._rejection
        if rejection is not None:
            self._health.hold(_refused(str(rejection.place), rejection.error))
            attempt = PolicyVersion(generation=rejection.place.generation, version=rejection.place.version)
            return self._status_of(attempt, ATTEMPT_STATE_REJECTED, rejection.error)
        if self._running is not None:
            return self._status_of(self._running.version, ATTEMPT_STATE_APPLIED, "")
        return PolicyStatus()

    def _status_of(self, attempt: PolicyVersion, state: AttemptState.ValueType, error: str) -> PolicyStatus:
        status = PolicyStatus(attempt=attempt, attempt_state=state, error=error)
        if self._running is not None:
            status.active.CopyFrom(self._running.version)
            status.active_sha256 = self._running.sha256
        return status

    def _tell(self, offered: PolicyBundle, state: AttemptState.ValueType, error: str) -> None:
        status = self._status_of(offered.version, state, error)
        with self._lock:
            self._status = status
        self._on_change()


class LookForPolicy:
    """One duty of the link: a nudge asks at once, also while a long poll waits on another replica."""

    name = "nudge"

    def __init__(self, pull: PullPolicy) -> None:
        self._pull = pull
        self._asked = threading.Event()

    def ask(self) -> None:
        """Somebody says that there is something new."""
        self._asked.set()

    def step(self) -> float:
        """Look when asked; a look that failed is not repeated here, the long poll will find it."""
        if self._asked.is_set():
            self._asked.clear()
            self._pull.look()
        return 3600.0


def error_text(error: PolicyError) -> str:
    """The refusal as people read it, each error with its line, its column and what to write instead."""
    lines = [str(error)]
    for found in error.diagnostics:
        if found.severity == "error":
            place = f"line {found.line}, column {found.column}: " if found.line else ""
            lines.append(f"{place}{found.message} {found.hint}".rstrip())
    return "\n".join(lines)


def _refused(policy: str, reason: str) -> Condition:
    first_line = reason.partition("\n")[0]
    return conditions.POLICY_REFUSED.saying(f"Policy {policy} from the control plane must not run here: {first_line}")


def _fallback(stored: StoredPolicy) -> str:
    damaged = "; ".join(stored.passed_over)
    return f"Policy {place_of(stored.bundle)} runs because newer files on this disk are damaged: {damaged}"


def _not_saved(policy: str, error: OSError) -> Condition:
    why = error.strerror or type(error).__name__
    return conditions.POLICY_NOT_SAVED.saying(f"Policy {policy} runs, but the disk did not take it: {why}.")
