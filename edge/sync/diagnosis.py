"""Why the control plane cannot be reached, in words: gRPC shows an expired certificate as "socket closed".

`explain` is pure; `edge.sync.probe` gathers what it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from edge.errors import UplinkError, UplinkRefused
from edge.health import Condition, Severity

REACHABILITY = "control-plane-unreachable"


class Finding(Enum):
    """How far a plain connection attempt came."""

    ANSWERS = auto()
    """TLS stands both ways; the trouble is above it."""
    NAME_UNKNOWN = auto()
    REFUSED = auto()
    TIMEOUT = auto()
    NO_ROUTE = auto()
    SERVER_OF_ANOTHER_MESH = auto()
    SERVER_NAME_DIFFERS = auto()
    SERVER_NOT_YET_VALID = auto()
    SERVER_EXPIRED = auto()
    NO_TLS = auto()
    WE_ARE_REFUSED = auto()
    """The server's certificate is good, but it closes the handshake because of ours."""
    IDENTITY_UNUSABLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when a call failed."""

    endpoint: str
    now: datetime
    valid_from: datetime
    valid_until: datetime
    finding: Finding
    detail: str
    """The system's own words, for the people who know them."""


_WORDS: dict[Finding, tuple[str, str]] = {
    Finding.ANSWERS: (
        "{endpoint} answers, but the call failed: {detail}.",
        "Look into the control plane's log.",
    ),
    Finding.NAME_UNKNOWN: (
        "The name in {endpoint} cannot be found: {detail}.",
        "Check this box's DNS, or the --public-host of the control plane.",
    ),
    Finding.REFUSED: (
        "Connection refused: nothing listens at {endpoint}, or a firewall says no.",
        "Check that the control plane runs and that the firewall lets this box connect there.",
    ),
    Finding.TIMEOUT: (
        "No answer from {endpoint}: the connection attempt timed out.",
        "Check the network and that a firewall does not swallow the connection.",
    ),
    Finding.NO_ROUTE: (
        "{endpoint} cannot be reached from here: {detail}.",
        "Check this box's network and its cable.",
    ),
    Finding.SERVER_OF_ANOTHER_MESH: (
        "What answers at {endpoint} does not have a certificate of this node's mesh: {detail}.",
        "A proxy that inspects TLS may stand in between, or the control plane was set up anew: then enrol again.",
    ),
    Finding.SERVER_NAME_DIFFERS: (
        "The control plane's certificate is for another host than {endpoint}: {detail}.",
        "Start the control plane with --public-host as the nodes know it.",
    ),
    Finding.SERVER_NOT_YET_VALID: (
        "By this box's clock the control plane's certificate is not yet valid.",
        "This box's clock is probably behind. Set it (NTP).",
    ),
    Finding.SERVER_EXPIRED: (
        "By this box's clock the control plane's certificate has expired.",
        "Set this box's clock (NTP) if it is ahead; else restart the control plane, which renews its certificate.",
    ),
    Finding.NO_TLS: (
        "What answers at {endpoint} does not speak TLS as the control plane does: {detail}.",
        "Check the port, and whether a proxy stands in between.",
    ),
    Finding.WE_ARE_REFUSED: (
        "The control plane does not take this node's certificate: {detail}.",
        "If this box's clock is right, the node is of another mesh: enrol it again with a new token.",
    ),
    Finding.IDENTITY_UNUSABLE: (
        "This node's key or certificate cannot be used: {detail}.",
        "Move DATA_DIR/identity away and enrol this node again with a new token.",
    ),
}


def explain(facts: Facts) -> Condition:
    """The condition for a call that got no answer. Images are never affected, and the words say what to do."""
    if facts.finding in (Finding.NAME_UNKNOWN, Finding.REFUSED, Finding.TIMEOUT, Finding.NO_ROUTE):
        return _worded(facts, "unreachable")
    if facts.now < facts.valid_from:
        return Condition(
            code=REACHABILITY,
            severity=Severity.HIGH,
            text=f"This node's certificate is not yet valid: it starts at {_moment(facts.valid_from)}, "
            f"and this box's clock says {_moment(facts.now)}.",
            hint="This box's clock is behind. Set it (NTP). Images are not affected.",
        )
    if facts.now > facts.valid_until:
        return Condition(
            code=REACHABILITY,
            severity=Severity.HIGH,
            text=f"This node's certificate has expired at {_moment(facts.valid_until)}.",
            hint="Check this box's clock; if it is right, enrol again with a new token. Images are not affected.",
        )
    return _worded(facts, "certificate")


def refused(error: UplinkRefused) -> Condition:
    """The condition for a control plane that answers no."""
    return Condition(
        code=REACHABILITY,
        severity=Severity.HIGH,
        text=f"The control plane refused this node: {error}",
        hint="It may have been revoked: ask the people who run the control plane. Images are not affected.",
    )


def _worded(facts: Facts, kind: str) -> Condition:
    text, hint = _WORDS[facts.finding]
    # A cut network heals by itself; a certificate needs a person.
    severity = Severity.MEDIUM if kind == "unreachable" or facts.finding is Finding.ANSWERS else Severity.HIGH
    return Condition(
        code=REACHABILITY,
        severity=severity,
        text=text.format(endpoint=facts.endpoint, detail=facts.detail or "no more is known"),
        hint=f"{hint} Images are not affected.",
    )


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def words_of(error: UplinkError) -> str:
    """One line for `skerry-edge status`."""
    return str(error).partition("\n")[0][:500]
