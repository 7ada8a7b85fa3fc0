"""Whether a node runs what it shall, and if not, why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from control.nodes.reports import NodeFacts, node_state
from control.policies.board import Place
from control.policies.revisions import same_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a node shall run, and what it said of it."""

    place: Place
    sha256: bytes
    since: datetime | None
    answer: tuple[str, str, datetime] | None
    """(state, error, when)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Something that does not run as it shall."""

    site: str
    node_id: str
    """Empty: the site is to run something else than its layers say."""
    node_name: str
    why: str
    """never-heard | silent | rejected | rolled-back | applying | other-text | ahead | override | pulls-not-yet |
    not-by-layers"""
    text: str
    since: datetime | None
    wanted: Place | None
    wanted_sha256: str
    active: Place | None
    active_sha256: str

    @staticmethod
    def of_layers(site: str, digest: bytes, place: tuple[Place, bytes] | None, since: datetime | None) -> Drift:
        """A site whose published policy is not what its layers say."""
        published = "something else was published to it" if place is not None else "nothing was published to it"
        return Drift(
            site=site,
            node_id="",
            node_name="",
            why="not-by-layers",
            text=f"Layers are over this site, and {published}. Publish one of its layers again.",
            since=since,
            wanted=None,
            wanted_sha256=digest.hex(),
            active=place[0] if place is not None else None,
            active_sha256=place[1].hex() if place is not None else "",
        )


def drift_of(node: NodeFacts, wanted: Standing, now: datetime) -> Drift | None:
    """How a node does not run what it shall; None when it does, as far as it told."""
    report = node.report
    active: Place | None = None
    digest = b""
    if report is not None:
        active, digest = (report.active.generation, report.active.version), report.active_sha256
    state = wanted.answer[0] if wanted.answer is not None else ""
    if active == wanted.place and same_text(wanted.sha256, digest) and state not in {"applying", "rejected"}:
        return None
    why, text, since = _why(node, wanted, active, now)
    return Drift(
        site=node.site,
        node_id=node.id,
        node_name=node.name,
        why=why,
        text=text,
        since=since,
        wanted=wanted.place,
        wanted_sha256=wanted.sha256.hex(),
        active=active,
        active_sha256=digest.hex(),
    )


def _why(node: NodeFacts, wanted: Standing, active: Place | None, now: datetime) -> tuple[str, str, datetime | None]:
    state, error, at = wanted.answer or ("", "", None)
    match state:
        case "rejected":
            return "rejected", f"It refused it: {error}", at
        case "rolled_back":
            return "rolled-back", f"It went back by itself: {error}", at
        case "applying" if node_state(node, now) == "online":
            return "applying", "It runs it on probation.", at
    match node_state(node, now):
        case "never":
            return "never-heard", "It was enrolled and never heard of.", node.enrolled_at
        case "silent":
            return "silent", "It is not heard of; its site goes on with what it has.", node.last_contact_at
    if active == wanted.place:
        return "other-text", "It runs another text at this very place: was the database restored?", wanted.since
    if active is not None and active > wanted.place:
        return "ahead", "It runs something later: was the database restored? Publish once more.", wanted.since
    overrides = [one for one in node.report.conditions if "override" in one.code.lower()] if node.report else []
    if overrides:
        return "override", overrides[0].text, wanted.since
    return "pulls-not-yet", "It has not taken it yet.", wanted.since
