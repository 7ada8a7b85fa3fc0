"""Whether a policy on probation does harm: numbers in, a verdict out (pure).

Only what became worse counts, and only when there is enough of it: a destination that was down before is not this
policy's fault, and three failures of four tries are chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What this node has counted so far, since it started; the last two of the buffer, as it stands."""

    accepted: int = 0
    """Instances taken into custody."""
    delivered: int = 0
    failed: int = 0
    """Tries that will be repeated."""
    parked: int = 0
    quarantined: int = 0
    restarts: int = 0
    """Processes of this node that ended unexpectedly."""
    unrouted: int = 0
    """Instances that no route takes."""
    waiting: int = 0
    """Deliveries that are not delivered yet."""

    def since(self, then: Counts) -> Counts:
        """What was added. A node that started anew counts from nothing, so what is less than then is all new."""
        added = {}
        for key, now in self.to_dict().items():
            before = getattr(then, key)
            shrunk = 0 if key in _STANDING else now
            added[key] = now - before if now >= before else shrunk
        return Counts(**added)

    def to_dict(self) -> dict[str, int]:
        """As numbers that a file can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Counts:
        """What `to_dict` gave; a number that is not there is 0."""
        return cls(**{one.name: int(found.get(one.name, 0)) for one in fields(cls)})


_STANDING = frozenset({"unrouted", "waiting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a policy has to stand."""

    seconds: float = 60.0
    """How long; 0: a policy that loads is taken for good."""
    least: int = 10
    """So many tries, or instances, before their share says anything."""
    rise: float = 0.25
    """How much the share that goes wrong may grow."""
    unrouted: float = 0.9
    """From this share on, instances that no route takes are a mistake; when the policy before took them."""
    restarts: int = 3
    """So many unexpected ends of processes are no chance."""
    starts: int = 3
    """So many starts of core within one probation: it dies of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """Why a policy must not stay."""

    code: str
    reason: str
    """One sentence, only numbers."""


class Healthy:
    """It stood its time."""


class NotYet:
    """Go on watching."""


Verdict = Harm | Healthy | NotYet


def judge_probation(then: Counts, now: Counts, *, seconds: float, terms: Terms, can_go_back: bool) -> Verdict:
    """The verdict after so many seconds; `then` was counted when the policy was activated.

    Without a policy to go back to nothing is gained by giving this one up: images would go nowhere at all.
    """
    if can_go_back and (harm := harm_of(then, now, terms)) is not None:
        return harm
    return Healthy() if seconds >= terms.seconds else NotYet()


def harm_of(then: Counts, now: Counts, terms: Terms) -> Harm | None:
    """What became worse than it was, the gravest first."""
    new = now.since(then)
    if new.restarts >= terms.restarts:
        text = f"{new.restarts} processes of the node ended unexpectedly since it was activated."
        return Harm(code="crashes", reason=text)
    tries, tries_then = _tries(new), _tries(then)
    for code, bad, bad_then, words in (
        ("quarantined", new.quarantined, then.quarantined, "objects could not be sent as they are"),
        ("failing", new.failed + new.parked, then.failed + then.parked, "tries to deliver failed"),
    ):
        before = bad_then / tries_then if tries_then >= terms.least else 0.0
        if bad >= terms.least and bad / tries > before + terms.rise:
            text = f"{bad} of {tries} {words} since it was activated ({before:.0%} before)."
            return Harm(code=code, reason=text)
    return _unrouted(then, new, terms)


def unrouted_harm(*, unrouted: int, of: int, before: float, terms: Terms) -> Harm | None:
    """Whether a policy takes so little that it must be a mistake; `before` is the share that none took before it."""
    if of >= terms.least and unrouted / of >= terms.unrouted and unrouted / of > before + terms.rise:
        text = f"No route takes {unrouted} of {of} instances ({before:.0%} before)."
        return Harm(code="unrouted", reason=text)
    return None


def _unrouted(then: Counts, new: Counts, terms: Terms) -> Harm | None:
    # What became nowhere can be more than what came: rows that waited for a policy.
    came = max(new.accepted, new.unrouted)
    before = min(1.0, then.unrouted / then.accepted) if then.accepted >= terms.least else 0.0
    return unrouted_harm(unrouted=new.unrouted, of=came, before=before, terms=terms)


def _tries(counts: Counts) -> int:
    return counts.delivered + counts.failed + counts.parked + counts.quarantined
