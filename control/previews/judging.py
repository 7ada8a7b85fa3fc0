"""Where a policy sends an object of which the centre holds only what the privacy rule let out. Pure.

The decision is the edge's own. A condition that reads what is not held here is an open question, never a guess; unless
the node answered this very condition when the object came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from edge.model import AssociationFacts, TagSet, TagValue
from edge.policy.document import PolicyError, load_policy
from edge.policy.match import decide
from edge.policy.model import Policy as Rule
from edge.policy.model import Route
from edge.policy.placing import CLOCK, placed
from edge.vocabulary import ATTRIBUTES

__all__ = ["Reception", "Rule", "Sight", "Told", "attributes_of", "compared", "judge", "read_policy", "told_of"]

Question = tuple[str, str]
"""A condition, and the zone when it asks for the time."""
Verdict = Literal["same", "changed", "untold"]
FAILED = "the condition failed"
LONGEST = 1000
"""A text that is longer may have been cut on its way into the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """An object as the centre knows it."""

    site: str
    node_id: str
    study_instance_uid: str
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    received_at: datetime
    tags: Mapping[str, str]
    flags: Sequence[str]
    policy: str
    """The label under which it was decided: `<generation>.<version>` of its site."""
    reasons: Sequence[Mapping[str, object]]
    """[{route, matched, reason}]"""

    @property
    def version(self) -> int | None:
        """The version of the site under which it was decided; None for a policy that the centre does not know."""
        generation, dot, version = self.policy.partition(".")
        return int(version) if dot and generation.isdecimal() and version.isdecimal() and len(version) < 19 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is certain of an object."""

    reception: Reception
    facts: AssociationFacts
    tags: TagSet
    held: frozenset[str]
    """The attributes of which the value, or that there is none, is known."""
    answers: Mapping[Question, bool]
    """Conditions that the node evaluated on the whole object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Where an object goes for certain, and where perhaps."""

    certain: frozenset[str] = frozenset()
    perhaps: Mapping[Question, frozenset[str]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    """What the open questions read that is not held here."""
    failures: tuple[str, ...] = ()

    @property
    def possible(self) -> frozenset[str]:
        """Everywhere where it may go."""
        return self.certain.union(*self.perhaps.values())


NOWHERE = Sight()


def read_policy(document: bytes) -> Rule | None:
    """The policy; None for a text that is none any more."""
    try:
        return load_policy(document.decode("utf-8"))
    except (PolicyError, UnicodeDecodeError):
        return None


def attributes_of(policies: Sequence[Rule | None]) -> frozenset[str]:
    """The attributes that the conditions of these policies look at."""
    routes = [route for policy in policies if policy is not None for route in policy.routes]
    return frozenset(keyword for route in routes for keyword in _reads(route))


def told_of(reception: Reception, under: Rule | None, reads: frozenset[str]) -> Told:
    """What is certain of an object that came under a policy; nothing but its sender without that policy."""
    values: dict[str, TagValue] = {}
    held: set[str] = set()
    clear = under.privacy.share - under.privacy.pseudonymise if under is not None else frozenset[str]()
    for keyword in reads & clear:
        text = reception.tags.get(keyword)
        value = _value(keyword, text) if text is not None else None
        if text is None or value is not None:
            held.add(keyword)
        if value is not None:
            values[keyword] = value
    return Told(
        reception=reception,
        facts=AssociationFacts(
            calling_ae_title=reception.calling_ae_title,
            called_ae_title=reception.called_ae_title,
            peer_address=reception.peer_address,
        ),
        tags=TagSet(values=values, flags=tuple(reception.flags)),
        held=frozenset(held),
        answers=_answers(reception, under) if under is not None else {},
    )


def judge(policy: Rule | None, told: Told) -> Sight:
    """Where this policy sends the object; no policy sends nothing anywhere."""
    if policy is None:
        return NOWHERE
    one = told.reception
    facts = placed(policy, told.facts, site=one.site, received_at=one.received_at)
    certain: set[str] = set()
    perhaps: dict[Question, frozenset[str]] = {}
    unread: set[str] = set()
    failures: list[str] = []
    for route, outcome in zip(policy.routes, decide(policy, facts, told.tags).outcomes, strict=True):
        missing = [keyword for keyword in _reads(route) if keyword not in told.held]
        question = _question(policy, route)
        answer = told.answers.get(question) if missing else outcome.matched
        if answer is None:
            perhaps[question] = perhaps.get(question, frozenset()) | frozenset(route.to)
            unread.update(missing)
        elif answer:
            certain.update(route.to)
        elif not missing and outcome.reason.startswith(FAILED):
            failures.append(f"route {route.name}: {outcome.reason}")
    return Sight(certain=frozenset(certain), perhaps=perhaps, unread=frozenset(unread), failures=tuple(failures))


def compared(before: Sight, after: Sight) -> Verdict:
    """Whether the object would go elsewhere, whatever the open questions' answers are; `untold` when they decide."""
    nothing: frozenset[str] = frozenset()
    if before.certain == after.certain and all(
        before.certain | before.perhaps.get(one, nothing) == after.certain | after.perhaps.get(one, nothing)
        for one in {*before.perhaps, *after.perhaps}
    ):
        return "same"
    if before.certain - after.possible or after.certain - before.possible:
        return "changed"
    return "untold"


def _reads(route: Route) -> tuple[str, ...]:
    return (*route.condition.attributes, *route.condition.tested) if route.condition is not None else ()


def _question(policy: Rule, route: Route) -> Question:
    asks_time = route.condition is not None and not CLOCK.isdisjoint(route.condition.facts)
    return route.when or "", policy.zone if asks_time else ""


def _answers(reception: Reception, under: Rule) -> Mapping[Question, bool]:
    said = {str(one.get("route")): one.get("matched") is True for one in reception.reasons}
    return {_question(under, route): said[route.name] for route in under.routes if route.name in said}


def _value(keyword: str, text: str) -> TagValue | None:
    """The value as the edge read it; None when the text does not tell it for certain."""
    if "\ufffd" in text or len(text) > LONGEST:
        return None
    try:
        match ATTRIBUTES[keyword].kind:
            case "text":
                return text
            case "integer":
                return int(text)
            case "decimal":
                return float(text)
            case "texts":
                return tuple(text.split("\\")) if text else None
    except ValueError:
        return None
