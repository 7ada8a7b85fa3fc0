"""The decision: which routes take an instance, why, and where it therefore goes."""

from __future__ import annotations

from edge.model import AssociationFacts, Decision, Priority, RouteOutcome, TagSet
from edge.policy.cel import EvaluationFailed
from edge.policy.model import Policy, Route

MOST_REMEMBERED = 2048
"""Outcomes kept, with the values that they followed from: what a rule reads is mostly the same all through a series."""

_remembered: dict[tuple[object, ...], RouteOutcome] = {}


def decide(policy: Policy, facts: AssociationFacts, tags: TagSet) -> Decision:
    """Evaluate every route. Pure and total: a route whose condition fails does not match, and says why.

    May be called from several threads at once. Reasons name attributes, never their values.
    """
    # A value that could not be read gives another reason, so those instances are not for the memory.
    odd = any(flag.startswith("undecodable:") for flag in tags.flags)
    outcomes = tuple((_try if odd else _remember)(route, facts, tags) for route in policy.routes)
    wanted: dict[str, Priority] = {}
    for route, outcome in zip(policy.routes, outcomes, strict=True):
        if outcome.matched:
            for name in route.to:
                wanted[name] = min(route.priority, wanted.get(name, route.priority))
    return Decision(
        policy=policy.label,
        outcomes=outcomes,
        destinations=tuple(d.name for d in policy.destinations if d.name in wanted),
        replaces=policy.duplicates == "replace",
        priorities=wanted,
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
    absent = [k for k in route.condition.attributes if k not in tags.values]
    unread = [k for k in absent if f"undecodable:{k}" in tags.flags]
    note = f"; without a value here: {', '.join(absent)}" if absent else ""
    note += f"; could not be decoded: {', '.join(unread)}" if unread else ""
    try:
        matched = route.condition.evaluate(facts, tags)
    except EvaluationFailed as failure:
        return RouteOutcome(route=route.name, matched=False, reason=f"the condition failed: {failure}{note}")
    words = "the condition is true" if matched else "the condition is false"
    return RouteOutcome(route=route.name, matched=matched, reason=words + note)
