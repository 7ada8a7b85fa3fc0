"""What can go wrong in an enrolment, each with a code and words for the technician beside the box."""

from __future__ import annotations

import json
from datetime import timedelta

from edge.errors import EnrolmentError

HINTS = {
    "TOKEN_UNKNOWN": "Check that the token is of this mesh, or make a new one: `skerry-control token create SITE`.",
    "TOKEN_USED": "A token makes one node. Make a new one: `skerry-control token create SITE`.",
    "TOKEN_EXPIRED": "Make a new one: `skerry-control token create SITE`.",
    "INVALID_NAME": "Choose another name with --name.",
    "ENROLMENT_REJECTED": "Ask the people who run the control plane. Another try needs a new token.",
    "ENROLMENT_EXPIRED": "Make a new token, and have somebody at hand who approves: `skerry-control node pending`.",
    "NAME_TAKEN": "Choose another name with --name, or revoke the node that has it.",
}
"""The control plane's own codes that a technician can act on."""


def refused(status: int, body: bytes) -> EnrolmentError:
    """The error for an answer that is not success (problem+json, RFC 9457)."""
    code, detail, hint = _problem(body)
    if code not in HINTS:
        return EnrolmentError(
            "REFUSED",
            f"The control plane refused the enrolment (HTTP {status}): {detail or 'it gave no reason'}",
            hint=hint or "Ask the people who run the control plane; its log has the reason.",
        )
    return EnrolmentError(code, detail or f"The control plane answered {code}.", hint=HINTS[code])


def _problem(body: bytes) -> tuple[str, str, str]:
    try:
        problem = json.loads(body)
    except ValueError:
        return "", "", ""
    if not isinstance(problem, dict):
        return "", "", ""
    named = str(problem.get("code") or str(problem.get("type", "")).rstrip("/").rpartition("/")[2])
    code = named.rpartition(":")[2].upper().replace("-", "_")
    detail = str(problem.get("detail") or problem.get("title") or "")
    return code, detail, str(problem.get("hint") or "")


def already_enrolled(node_id: str, site: str) -> EnrolmentError:
    """This data directory is a node already."""
    return EnrolmentError(
        "ALREADY_ENROLLED",
        f"This box is node {node_id} of site {site} already.",
        hint="To enrol it anew, move DATA_DIR/identity away first. Images and queues are not affected.",
    )


def waits_for_approval(request_id: str, fingerprint: str) -> EnrolmentError:
    """The box asked, and a person has to say yes."""
    return EnrolmentError(
        "WAITS_FOR_APPROVAL",
        f"This box waits for approval; its fingerprint is {fingerprint}.",
        hint=f"Compare it, then `skerry-control node approve {request_id}`; afterwards give the same command again.",
    )


def unreachable(endpoint: str, error: Exception) -> EnrolmentError:
    """There was no answer at all; the token is still good unless the request had left."""
    return EnrolmentError(
        "UNREACHABLE",
        f"No answer from {endpoint}: {error or type(error).__name__}",
        hint=f"Check the network and that the firewall lets this box connect to {endpoint}, then try again.",
    )


def not_a_control_plane(endpoint: str, status: int) -> EnrolmentError:
    """Something answers there, but not with the mesh's CA."""
    return EnrolmentError(
        "UNREACHABLE",
        f"What answers at {endpoint} is not a control plane (HTTP {status} for /api/v1/mesh/ca.pem).",
        hint="Check the address in the token; a proxy in between may be answering instead.",
    )


def ca_pin_mismatch(endpoint: str) -> EnrolmentError:
    """The other side is not the mesh that the token names; the secret did not travel."""
    return EnrolmentError(
        "CA_PIN_MISMATCH",
        f"What answers at {endpoint} does not have the CA that the token names. Nothing secret was sent.",
        hint="A proxy that inspects TLS may stand in between, or the token is of another mesh.",
    )


def untrusted(endpoint: str, why: str) -> EnrolmentError:
    """The CA is right, but the server's own certificate is not of it; the secret did not travel."""
    return EnrolmentError(
        "CA_PIN_MISMATCH",
        f"The certificate of {endpoint} was not issued by the mesh's CA for this host: {why}.",
        hint="A proxy that inspects TLS may stand in between, or --public-host of the control plane is another name.",
    )


def certificate_dates(why: str) -> EnrolmentError:
    """By this box's clock the server's certificate is not valid now."""
    return EnrolmentError(
        "CLOCK_SKEW",
        f"By this box's clock the control plane's certificate is not valid now: {why}.",
        hint="Set this box's clock (NTP). If it is right, restart the control plane: it renews its certificate.",
    )


def clock_skew(off: timedelta) -> EnrolmentError:
    """The two clocks are so far apart that the new certificate would not be valid here."""
    side = "ahead of" if off > timedelta() else "behind"
    minutes = round(abs(off).total_seconds() / 60)
    return EnrolmentError(
        "CLOCK_SKEW",
        f"This box's clock is {minutes} minutes {side} the control plane's.",
        hint="Set this box's clock (NTP) and try again. The token was not spent.",
    )


def unreadable_answer() -> EnrolmentError:
    """The enrolment was answered, but not with what a node needs."""
    return EnrolmentError(
        "REFUSED",
        "The control plane's answer is not an identity for the key of this box.",
        hint="The token may be spent; make a new one. Check that both sides run matching versions.",
    )
