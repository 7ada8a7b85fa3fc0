"""What can be said of routes before an image comes: too many, too costly, always or never true, for nothing (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge.model import AssociationFacts, TagSet
from edge.policy.cel import Condition, EvaluationFailed
from edge.policy.cel_text import Token, tokens
from edge.policy.model import Route
from edge.policy.placing import CLOCK

MOST_ROUTES = 256
MOST_DESTINATIONS = 64
"""An event that names more reasons or destinations is one that the control plane does not take."""
MOST_LOOPS = 2
"""Loops inside one another: each multiplies the steps by the length of a list that the sender chooses."""

_LOOPS = frozenset({"all", "exists", "exists_one", "filter", "map"})
_NOBODY = AssociationFacts(calling_ae_title="", called_ae_title="", peer_address="")
Path = tuple[str | int, ...]


class Say(Protocol):
    """Writes a finding down, at the place of a path in the document."""

    def __call__(self, path: Path, message: str, hint: str = "") -> None: ...


def check_routes(routes: Sequence[Route], destinations: int, error: Say, warn: Say) -> None:
    """Tell all that is wrong or odd about the routes together."""
    if len(routes) > MOST_ROUTES:
        path: Path = ("routes", MOST_ROUTES, "name")
        error(path, f"there are {len(routes)} routes; at most {MOST_ROUTES} may be", "Join routes with || or `in`.")
    if destinations > MOST_DESTINATIONS:
        path = ("destinations", MOST_DESTINATIONS, "name")
        error(path, f"there are {destinations} destinations; at most {MOST_DESTINATIONS} may be", "Use another node.")
    for index, route in enumerate(routes):
        when: Path = ("routes", index, "when")
        if route.condition is None:
            continue
        if _loops(route.condition.text) > MOST_LOOPS:
            error(when, "the condition is too expensive: three loops inside one another", "Split it, or use `in`.")
            continue
        constant = _constant(route.condition)
        if constant is False:
            warn(when, f"route `{route.name}` matches nothing: its condition is never true", "Mend it, or remove it.")
        elif constant:
            warn(when, f"the condition of route `{route.name}` is always true", "Leave `when` out to match always.")
    if len({route.name for route in routes}) == len(routes):  # else another finding says so, and this is its echo
        _warn_covered(routes, warn)


def _warn_covered(routes: Sequence[Route], warn: Say) -> None:
    for index, route in enumerate(routes):
        if not _text(route):
            continue
        others = [
            one
            for place, one in enumerate(routes)
            if one.priority <= route.priority
            and (one.wait is None or route.wait is not None)  # one that waits does not send what goes at once
            and (not _text(one) or (_text(one) == _text(route) and place != index))
            and not (_text(one) and _same(one, route))  # that two are the same is said already
        ]
        covering = [one for one in others if set(one.to) & set(route.to)]
        if set(route.to) <= {name for one in covering for name in one.to}:
            names = ", ".join(f"`{one.name}`" for one in covering)
            message = f"route `{route.name}` changes nothing: {names} already sends all of it there"
            warn(("routes", index, "name"), message, "Remove it, or narrow the other.")


def check_clock(routes: Sequence[Route], zone: str, error: Say) -> None:
    """Say where a condition asks a clock of which nobody knows the place."""
    for index, route in enumerate(routes):
        if not zone and route.condition is not None and (read := CLOCK & set(route.condition.facts)):
            names = " and ".join(f"`{name}`" for name in sorted(read))
            hint = "Write `zone: Europe/Berlin`, or another one of the IANA database, at the top level of the policy."
            error(("routes", index, "when"), f"{names} needs a time zone", hint)


def _same(one: Route, other: Route) -> bool:
    alike = one.priority == other.priority and (one.wait is None) == (other.wait is None)
    return alike and set(one.to) == set(other.to)


def _text(route: Route) -> str:
    return route.when.strip() if route.when else ""


def _constant(condition: Condition) -> bool | None:
    """What the condition always gives, where that is plain to see."""
    if _contradicts(condition.text):
        return False
    if condition.attributes or condition.tested or condition.facts:
        return None
    try:
        return condition.evaluate(_NOBODY, TagSet(values={}))
    except EvaluationFailed:
        return False


def _contradicts(text: str) -> bool:
    """Whether one and the same name must equal two different texts."""
    wanted: dict[str, str] = {}
    for part in _conjuncts(list(tokens(text))):
        if [t.kind for t in part] != ["name", "mark", "mark", "string"] or part[1].text + part[2].text != "==":
            continue
        literal = part[3].text
        if "\\" in literal or literal[0] not in "\"'" or literal[:3] in {'"""', "'''"}:
            continue
        if wanted.setdefault(part[0].text, literal[1:-1]) != literal[1:-1]:
            return True
    return False


def _conjuncts(found: list[Token]) -> list[list[Token]]:
    """The parts between `&&` outside of all brackets; none when something weaker than `&&` stands there."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        mark = token.text if token.kind == "mark" else ""
        depth += (mark in {"(", "[", "{"}) - (mark in {")", "]", "}"})
        if not depth and mark in {"|", "?"}:
            return []
        if not depth and mark == "&":
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _loops(text: str) -> int:
    """How deep loops stand inside one another."""
    open_brackets: list[bool] = []
    deepest = 0
    before: list[str] = ["", ""]
    for token in tokens(text):
        if token.kind == "mark" and token.text == "(":
            open_brackets.append(before[1] in _LOOPS and before[0] == ".")
            deepest = max(deepest, sum(open_brackets))
        elif token.kind == "mark" and token.text == ")" and open_brackets:
            open_brackets.pop()
        before = [before[1], token.text]
    return deepest
