"""What can be wrong with the link, in words for people: each a coded condition of the node's health."""

from __future__ import annotations

import threading

import structlog

from edge.health import Condition, HealthBoard, Severity

log = structlog.get_logger(__name__)

EVENTS_SET_ASIDE = Condition(
    code="events-set-aside",
    severity=Severity.MEDIUM,
    text="Events are set aside because the control plane cannot read them.",
    hint="Images are not affected. Run matching versions on both sides, then release the events.",
)
EVENTS_NOT_TAKEN = Condition(
    code="events-not-taken",
    severity=Severity.MEDIUM,
    text="The control plane answers but takes no events.",
    hint="Nothing is lost; the events stay here. Look into the control plane's log.",
)
BUFFER_OLDER_THAN_CENTRE = Condition(
    code="buffer-older-than-centre",
    severity=Severity.HIGH,
    text="The control plane has events of this buffer that the buffer itself does not know.",
    hint="This disk was put back to an earlier state. What waits is sent again under a new epoch; when instances are "
    "missing in the index, stop the node and run `skerry-edge rebuild`.",
)
CENTRE_OLDER_THAN_BUFFER = Condition(
    code="control-plane-restored",
    severity=Severity.LOW,
    text="The control plane no longer has events that it had acknowledged.",
    hint="It came back from a backup. This node tells it again what it lacks, of the last seven days; nothing else is "
    "needed. Images are not affected.",
)
CENTRE_INCOMPATIBLE = Condition(
    code="control-plane-incompatible",
    severity=Severity.HIGH,
    text="The control plane cannot read anything that this node sends.",
    hint="Nothing is lost; the events stay here. Run matching versions on both sides.",
)
POLICY_REFUSED = Condition(
    code="policy-refused",
    severity=Severity.HIGH,
    text="The control plane's policy must not run here.",
    hint="The policy before it stays in force. Publish a mended one.",
)
POLICY_ROLLED_BACK = Condition(
    code="policy-rolled-back",
    severity=Severity.HIGH,
    text="The control plane's policy did harm on probation and was taken back.",
    hint="The policy before it runs again. Publish a mended one; publishing the same one again tries it once more.",
)
POLICY_NOT_SAVED = Condition(
    code="policy-not-saved",
    severity=Severity.HIGH,
    text="The policy runs, but the disk did not take it.",
    hint="A restart would run the policy before it. Free disk space, or check the disk.",
)
POLICY_FALLBACK = Condition(
    code="policy-fallback",
    severity=Severity.HIGH,
    text="The newest policy on this disk is damaged; an earlier one runs.",
    hint="Check the disk. The control plane sends the newest one again as soon as it can be reached.",
)
IDENTITY_IN_USE_TWICE = Condition(
    code="identity-in-use-twice",
    severity=Severity.HIGH,
    text="Two running boxes speak with this node's identity; one of them is probably a copied disk.",
    hint="Stop the copy, remove its DATA_DIR/identity, and enrol it as a node of its own.",
)
CLOCKS_DIFFER = Condition(
    code="clocks-differ",
    severity=Severity.MEDIUM,
    text="This box's clock and the control plane's are far apart.",
    hint="Set this box's clock (NTP): times of images would be wrong, and certificates fail when it gets worse.",
)
CERTIFICATE_ENDS = Condition(
    code="certificate-ends",
    severity=Severity.MEDIUM,
    text="This node's certificate ends soon and could not be renewed.",
    hint="Bring the link to the control plane back before then. Images are not affected in any case.",
)
RENEWAL_FAILED = Condition(
    code="renewal-failed",
    severity=Severity.MEDIUM,
    text="A new certificate came but does not work; the old one stays in use.",
    hint="Look into the control plane's log. The node tries again every hour.",
)
LINK_FAULT = Condition(
    code="link-fault",
    severity=Severity.MEDIUM,
    text="A part of the link failed in a way that was not foreseen; it tries again.",
    hint="Images are not affected. Send the log lines `link.fault` to the developers.",
)


BROKER_UNREACHABLE = Condition(
    code="broker-unreachable",
    severity=Severity.LOW,
    text="The MQTT broker cannot be used; news from the control plane may come up to a minute later.",
    hint="Nothing else depends on it. Check the broker, or set the mesh up without one.",
)


class LinkHealth:
    """The link's own view of the node's health board: says what is news in the log, too. For any thread."""

    def __init__(self, board: HealthBoard) -> None:
        self._board = board
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Condition] = {}

    def hold(self, condition: Condition) -> None:
        """This is wrong from now on."""
        key = (condition.code, condition.subject)
        with self._lock:
            known = self._held.get(key)
            self._held[key] = condition
            self._board.raise_condition(condition)
        if known != condition:
            say = log.error if condition.severity is Severity.HIGH else log.warning
            say("link.condition", code=condition.code, text=condition.text, hint=condition.hint)

    def clear(self, *codes: str, subject: str = "") -> None:
        """These are right again."""
        with self._lock:
            gone = [code for code in codes if self._held.pop((code, subject), None) is not None]
            for code in gone:
                self._board.clear(code, subject)
        for code in gone:
            log.info("link.condition_over", code=code)
