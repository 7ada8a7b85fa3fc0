"""The decision: which routes take an instance, why, and where it therefore goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.model import AssociationFacts, Decision, Priority, RouteOutcome, TagSet, Wait
from edge.policy.cel import EvaluationFailed, view
from edge.policy.model import Policy, Route
from edge.policy.pretest import Seen
from edge.vocabulary import ATTRIBUTES

MOST_REMEMBERED = 2048
"""Outcomes kept, with the values that they followed from: what a rule reads is mostly the same all through a series."""
MOST_DECISIONS = 512
"""Whole decisions kept of one policy; each may hold an outcome for every one of its routes."""
MOST_ABSENCES = 64
"""Ways to say of one route that it is false: one for each set of attributes that are absent."""
MOST_PLANS = 4
"""Policies whose decisions are kept: the one in force, the next one, and one on trial."""


class _Plan:
    """What all rules of a policy read together, and the decisions that followed from it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy  # held, so that its id is not given to another
        used = [route.condition for route in policy.routes if route.condition is not None]
        self.read = tuple(sorted({keyword for condition in used for keyword in condition.attributes}))
        self.tested = tuple(sorted({keyword for condition in used for keyword in condition.tested}))
        attributes = sorted({*self.read, *self.tested})
        self.plain = tuple(k for k in attributes if ATTRIBUTES[k].kind in {"text", "texts"})
        self.numbers = tuple(k for k in attributes if ATTRIBUTES[k].kind in {"integer", "decimal"})
        self.decided: dict[tuple[object, ...], Decision] = {}
        self.around = policy.around
        self.judges = tuple(map(_judge, policy.routes))

    def inputs(self, facts: AssociationFacts, tags: TagSet) -> tuple[object, ...]:
        """All that the decision follows from."""
        value = tags.values.get
        return (
            facts.calling_ae_title,
            facts.called_ae_title,
            facts.peer_address,
            *[getattr(facts, name) for name in self.around],
            *[value(keyword) for keyword in self.plain],
            # 0.0, -0.0 and 0 are equal, and a rule can tell them apart: they are told apart by their text.
            *[repr(value(keyword)) for keyword in self.numbers],
        )


_remembered: dict[tuple[object, ...], RouteOutcome] = {}
_plans: dict[int, _Plan] = {}


def forget() -> None:
    """Decide everything anew from now on."""
    _remembered.clear()
    _plans.clear()


def decide(policy: Policy, facts: AssociationFacts, tags: TagSet) -> Decision:
    """Evaluate every route. Pure and total: a route whose condition fails does not match, and says why.

    May be called from several threads at once. Reasons name attributes, never their values.
    """
    # A value that could not be read gives another reason, so those instances are not for the memory.
    if tags.flags and any(flag.startswith("undecodable:") for flag in tags.flags):
        return _plainly(policy, facts, tags)
    plan = _plans.get(id(policy)) or _plan(policy)
    inputs = plan.inputs(facts, tags)
    try:
        decision = plan.decided.get(inputs)
    except TypeError:  # a list, say: nothing of ours reads such a value
        return _plainly(policy, facts, tags)
    if decision is None:
        seen = view(facts, tags, plan.read, plan.tested)
        if seen is None:
            return _plainly(policy, facts, tags)
        if len(plan.decided) >= MOST_DECISIONS:
            plan.decided.clear()
        absent = frozenset([keyword for keyword in plan.read if keyword not in tags.values])
        outcomes = tuple([judge(seen, absent, facts, tags) for judge in plan.judges])
        decision = plan.decided[inputs] = _combine(policy, outcomes)
    return decision


def _plainly(policy: Policy, facts: AssociationFacts, tags: TagSet) -> Decision:
    """Every condition by the engine, nothing remembered: what `decide` must always agree with."""
    return _combine(policy, tuple(_try(route, facts, tags) for route in policy.routes))


def _judge(route: Route) -> Callable[[Seen, frozenset[str], AssociationFacts, TagSet], RouteOutcome]:
    """How the outcome of one route is found, with what it says when it is ruled out."""
    condition = route.condition
    ruled_out = condition.ruled_out if condition is not None else None
    if condition is None or ruled_out is None:
        return lambda _seen, _absent, facts, tags: _remember(route, facts, tags)
    attributes = condition.attributes
    words: dict[frozenset[str], RouteOutcome] = {}

    def judge(seen: Seen, absent: frozenset[str], facts: AssociationFacts, tags: TagSet) -> RouteOutcome:
        """`absent`: what of all that the policy reads has no value here."""
        if not ruled_out(seen):
            return _remember(route, facts, tags)
        outcome = words.get(absent)
        if outcome is None:
            if len(words) >= MOST_ABSENCES:
                words.clear()
            reason = "the condition is false" + _note([keyword for keyword in attributes if keyword in absent], tags)
            outcome = words[absent] = RouteOutcome(route=route.name, matched=False, reason=reason)
        return outcome

    return judge


def _plan(policy: Policy) -> _Plan:
    if len(_plans) >= MOST_PLANS:
        _plans.clear()
    plan = _plans[id(policy)] = _Plan(policy)
    return plan


def _combine(policy: Policy, outcomes: tuple[RouteOutcome, ...]) -> Decision:
    wanted: dict[str, Priority] = {}
    at_once: set[str] = set()
    waits: dict[str, Wait] = {}
    for route, outcome in zip(policy.routes, outcomes, strict=True):
        if outcome.matched:
            for name in route.to:
                wanted[name] = min(route.priority, wanted.get(name, route.priority))
                if route.wait is None:
                    at_once.add(name)
                else:
                    waits.setdefault(name, route.wait)
    return Decision(
        policy=policy.label,
        outcomes=outcomes,
        destinations=tuple(d.name for d in policy.destinations if d.name in wanted),
        replaces=policy.duplicates == "replace",
        priorities=wanted,
        waits={name: wait for name, wait in waits.items() if name not in at_once},
    )


def _remember(route: Route, facts: AssociationFacts, tags: TagSet) -> RouteOutcome:
    """What `_try` gives, worked out once for the same values: a condition has no other input, and no clock."""
    condition = route.condition
    if condition is None or not condition.repeatable:
        return _try(route, facts, tags)
    key = (route.name, condition.text, *condition.inputs(facts, tags))
    outcome = _remembered.get(key)
    if outcome is None:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        outcome = _remembered[key] = _try(route, facts, tags)
    return outcome


def _try(route: Route, facts: AssociationFacts, tags: TagSet) -> RouteOutcome:
    if route.condition is None:
        return RouteOutcome(route=route.name, matched=True, reason="this route has no condition")
    note = _note([k for k in route.condition.attributes if k not in tags.values], tags)
    try:
        matched = route.condition.evaluate(facts, tags)
    except EvaluationFailed as failure:
        return RouteOutcome(route=route.name, matched=False, reason=f"the condition failed: {failure}{note}")
    words = "the condition is true" if matched else "the condition is false"
    return RouteOutcome(route=route.name, matched=matched, reason=words + note)


def _note(absent: Sequence[str], tags: TagSet) -> str:
    unread = [keyword for keyword in absent if f"undecodable:{keyword}" in tags.flags]
    note = f"; without a value here: {', '.join(absent)}" if absent else ""
    return note + (f"; could not be decoded: {', '.join(unread)}" if unread else "")
