"""Health is a list of coded conditions, the same codes in the CLI, the metrics, the control plane and alerts."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """HIGH: images wait or are refused. MEDIUM: a person should look today. LOW: good to know."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is not as it should be, in words that a person can act on."""

    code: str
    severity: Severity
    text: str
    hint: str = ""
    subject: str = ""
    """What it is about, when there can be several: a destination's name."""

    def saying(self, text: str, *, subject: str = "", hint: str | None = None) -> Condition:
        """The same condition with the words of this case."""
        return replace(self, text=text, subject=subject, hint=self.hint if hint is None else hint)


SPOOL_FULL = Condition(
    code="spool-full",
    severity=Severity.HIGH,
    text="The spool's disk is under its watermark; new images are refused with 0xA700.",
    hint="Free disk space, or bring the destinations back so that delivered images can be released.",
)
DISK_ABOVE_MARK = Condition(
    code="disk-above-high-water",
    severity=Severity.MEDIUM,
    text="The spool's disk is above the high water of the policy, and nothing that was delivered is left to go.",
    hint="Look at what waits (`skerry-edge queue`) and what else lies on that disk; nothing undelivered is deleted.",
)
SPOOL_DAMAGED = Condition(
    code="spool-damaged",
    severity=Severity.HIGH,
    text="Spool files did not match their seal and were set aside.",
    hint="Check the disk; the files are kept in the spool's `damaged` folder.",
)
DESTINATION_DOWN = Condition(
    code="destination-down",
    severity=Severity.HIGH,
    text="A destination does not take images.",
)
NOT_VERIFIABLE = Condition(
    code="destination-not-verifiable",
    severity=Severity.MEDIUM,
    text="A destination with `verify` cannot be asked whether it holds what it acknowledged.",
)
DELIVERIES_PARKED = Condition(
    code="deliveries-parked",
    severity=Severity.MEDIUM,
    text="Deliveries were refused for good and wait for a person.",
    hint="Look with `skerry-edge queue --state parked`, mend the cause, then `skerry-edge requeue`.",
)
DELIVERIES_QUARANTINED = Condition(
    code="deliveries-quarantined",
    severity=Severity.MEDIUM,
    text="Objects that cannot be sent as they are wait for a person.",
    hint="Look with `skerry-edge queue --state quarantined`, mend them with `skerry-edge fix`, or the policy.",
)
NO_POLICY = Condition(
    code="no-policy",
    severity=Severity.MEDIUM,
    text="No policy is in force; images are kept, and routed when one comes.",
    hint="Publish a policy for this site, or start the node with --policy or --to.",
)
IDENTITY_DAMAGED = Condition(
    code="identity-damaged",
    severity=Severity.HIGH,
    text="This node's identity cannot be used, so it has no link; images are received and delivered all the same.",
    hint="Move DATA_DIR/identity away and enrol this node again with a new token.",
)
POLICY_OVERRIDDEN = Condition(
    code="policy-overridden",
    severity=Severity.MEDIUM,
    text="A policy that a person placed here runs instead of the control plane's.",
    hint="It ends by itself, or with `skerry-edge policy override --end`. Publish at the centre what is to stay.",
)
NO_ROUTE = Condition(
    code="no-route",
    severity=Severity.MEDIUM,
    text="Held instances match no route of the policy; they are kept, and go nowhere.",
    hint="Add a route that takes them, then `skerry-edge requeue --unrouted` lets the policy decide anew.",
)
DESTINATION_UNKNOWN = Condition(
    code="destination-unknown",
    severity=Severity.HIGH,
    text="Deliveries wait for a destination that the policy no longer names.",
    hint="Name the destination in the policy again; nothing is dropped meanwhile.",
)
IMAGES_COME_BACK = Condition(
    code="images-come-back",
    severity=Severity.MEDIUM,
    text="Images come back from a destination that has them; they are kept, and not sent there again.",
    hint="Two routers point at each other: let the route there leave out what comes from there, by calling_ae_title.",
)
ANNOUNCED_MISSING = Condition(
    code="announced-missing",
    severity=Severity.MEDIUM,
    text="Images that modalities announced never came; their studies went on without them.",
    hint="Let the modality send the study again; `skerry-edge trace` tells how many. It ends with them, or in a day.",
)
BUFFER_FAILING = Condition(
    code="buffer-failing",
    severity=Severity.HIGH,
    text="The buffer database does not take changes; images are safe in the spool but are not routed.",
    hint="Look at the log for buffer.commit_failed; check the disk.",
)
PROCESS_DOWN = Condition(
    code="process-down",
    severity=Severity.HIGH,
    text="A process of this node does not work; it is started again.",
    hint="Look at the log for process.ended and what stands before it.",
)
PROCESS_RESTARTED = Condition(
    code="process-restarted",
    severity=Severity.MEDIUM,
    text="A process of this node ended unexpectedly and was started again; nothing acknowledged is lost by that.",
    hint="Look at the log for process.ended; when it goes on, report it.",
)
ORDER = (Severity.HIGH, Severity.MEDIUM, Severity.LOW)


def worst_first(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Conditions in the order in which a person should read them."""
    return tuple(sorted(conditions, key=lambda held: (ORDER.index(held.severity), held.code, held.subject)))


class HealthBoard:
    """The conditions that hold now. Threads raise and clear; anybody reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Condition] = {}

    def raise_condition(self, condition: Condition) -> None:
        """The condition holds from now on, in these words."""
        with self._lock:
            before = self._held.get((condition.code, condition.subject))
            self._held[condition.code, condition.subject] = condition
        if before != condition:
            self._changed()

    def clear(self, code: str, subject: str = "") -> None:
        """The condition holds no longer."""
        with self._lock:
            before = self._held.pop((code, subject), None)
        if before is not None:
            self._changed()

    def current(self) -> tuple[Condition, ...]:
        """What holds now, the worst first."""
        with self._lock:
            return worst_first(self._held.values())

    def _changed(self) -> None:
        """Called after every change; for a board that tells somebody."""
