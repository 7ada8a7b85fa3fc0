"""The second of two checks: does a well-shaped document make sense, and what does it mean?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Literal

from edge.errors import Diagnostic
from edge.model import Destination, Priority
from edge.policy.cel import Condition, DoesNotCompile, compile_condition
from edge.policy.meaning_budgets import Budgets
from edge.policy.meaning_destinations import check_destination, destination_of
from edge.policy.meaning_groups import group_of
from edge.policy.meaning_retention import retention_of
from edge.policy.meaning_routes import check_clock, check_routes
from edge.policy.meaning_transforms import Transforms
from edge.policy.meaning_waiting import wait_of, warn_useless_waits
from edge.policy.meaning_window import check_window, check_zone
from edge.policy.model import DEFAULT_SHARE, Policy, Privacy, Route
from edge.policy.place import place_in_file
from edge.policy.placing import read_around
from edge.policy.schema import PolicyModel, PrivacyModel, RouteModel
from edge.policy.schema_groups import GroupModel
from edge.policy.wording import explain, nearest
from edge.policy.yaml_text import Mapping, Node, Scalar, Sequence
from edge.vocabulary import ATTRIBUTES
from mesh.pools_check import findings


class Meaning:
    """Reads a document's meaning and collects what is wrong with it on the way."""

    def __init__(self, text: str, root: Node, model: PolicyModel) -> None:
        self._text = text
        self._root = root
        self._model = model
        self.diagnostics: list[Diagnostic] = []

    def policy(self, label: str) -> Policy:
        """The policy that the document means; to be used only when no diagnostic is an error."""
        self._unique("destinations", [d.name for d in self._model.destinations])
        self._unique("routes", [r.name for r in self._model.routes])
        routes = tuple(self._route(i, route) for i, route in enumerate(self._model.routes))
        self._warn_unused()
        self._warn_identical()
        check_routes(routes, len(self._model.destinations), self._error, self._warn)
        warn_useless_waits(routes, _Report(self))
        if self._model.zone:
            check_zone(self._model.zone, partial(self._error, ("zone",)))
        check_clock(routes, self._model.zone, self._error)
        for index, model in enumerate(self._model.destinations):
            error, warn = partial(self._say_inside, "error", index), partial(self._say_inside, "warning", index)
            check_window(model.window, partial(error, "window", 1))
            if not isinstance(model, GroupModel):
                check_destination(model, error, warn)
        transforms = Transforms(self._model.transforms, _Report(self))
        self._unique("transforms", [t.name for t in self._model.transforms])
        self._unique("budgets", [one.name for one in self._model.budgets])
        budgets = Budgets(self._model.budgets, _Report(self))
        destinations = self._destinations(transforms, budgets)
        budgets.warn_unused()
        transforms.warn_unused()
        for found in findings(self._model.pools):
            self._error(("pools", *found.place), found.message, found.hint)
        kept, watermarks = retention_of(self._model.retention, _Report(self))
        return Policy(
            label=label,
            destinations=destinations,
            routes=routes,
            keep_delivered=kept,
            watermarks=watermarks,
            privacy=self._privacy(self._model.privacy),
            duplicates=self._model.duplicates,
            zone=self._model.zone,
            pools=tuple(self._model.pools),
            around=read_around(routes),
        )

    def _destinations(self, transforms: Transforms, budgets: Budgets) -> tuple[Destination, ...]:
        models = list(enumerate(self._model.destinations))
        plain = {
            d.name: replace(
                destination_of(d),
                transforms=transforms.of(d.transforms, ("destinations", n, "transforms")),
                budget=budgets.of(n, d.budget),
            )
            for n, d in models
            if not isinstance(d, GroupModel)
        }
        groups = [d.name for _n, d in models if isinstance(d, GroupModel)]
        return tuple(
            group_of(n, d, plain, groups, _Report(self)) if isinstance(d, GroupModel) else plain[d.name]
            for n, d in models
        )

    # --- routes -------------------------------------------------------------------------------------------------

    def _route(self, index: int, route: RouteModel) -> Route:
        names = [d.name for d in self._model.destinations]
        seen: set[str] = set()
        for position, name in enumerate(route.to):
            if name not in names:
                meant = nearest(name, names)
                hint = f"Did you mean `{meant}`?" if meant else _known("destinations", names)
                self._error(("routes", index, "to", position), f"there is no destination `{name}`", hint)
            elif name in seen:
                self._warn(("routes", index, "to", position), f"`{name}` stands twice in this route")
            seen.add(name)
        return Route(
            name=route.name,
            when=route.when,
            to=tuple(route.to),
            condition=self._condition(index, route),
            priority=Priority[route.priority.upper()],
            wait=wait_of(index, route.name, route.wait, _Report(self)),
        )

    def _condition(self, index: int, route: RouteModel) -> Condition | None:
        node = _find(self._root, ("routes", index, "when"))
        if route.when is None:
            if isinstance(node, Scalar):
                hint = "Write a condition, or leave `when` out to match always."
                self._error(("routes", index, "when"), "`when` is empty", hint)
            return None
        try:
            return compile_condition(route.when)
        except DoesNotCompile as failure:
            # After a syntax error the engine's further complaints are echoes of the first.
            faults = failure.faults[:1] if "yntax" in failure.faults[0].message else failure.faults[:5]
            for fault in faults:
                message, hint = explain(fault, route.when)
                if not route.when.strip():
                    message, hint = "`when` is empty", "Leave `when` out to match always."
                line, column = node.line, node.column
                if isinstance(node, Scalar):
                    line, column = place_in_file(self._text, node, fault.line, fault.column)
                self._add("error", line, column, message, hint)
            return None

    def _warn_unused(self) -> None:
        used = {name for route in self._model.routes for name in route.to}
        used |= {name for d in self._model.destinations if isinstance(d, GroupModel) for name in d.members}
        if not used <= {d.name for d in self._model.destinations}:
            return  # a misspelt name in a route is an error already; this would be its echo
        for index, destination in enumerate(self._model.destinations):
            if destination.name not in used:
                message = f"no route leads to `{destination.name}`"
                self._warn(("destinations", index, "name"), message, "Name it in a route's `to`, or remove it.")

    def _warn_identical(self) -> None:
        first: dict[tuple[object, ...], str] = {}
        for index, route in enumerate(self._model.routes):
            when = route.when.strip() if route.when else None
            what = (when, frozenset(route.to), route.priority, route.wait)
            if what in first:
                message = f"route `{route.name}` does the same as `{first[what]}`"
                self._warn(("routes", index, "name"), message, "Keep one of them.")
            first.setdefault(what, route.name)

    # --- privacy --------------------------------------------------------------------------------------------------

    def _privacy(self, privacy: PrivacyModel) -> Privacy:
        self._keywords("share", privacy.share or ())
        self._keywords("pseudonymise", privacy.pseudonymise)
        pseudonymise = frozenset(privacy.pseudonymise)
        for index, keyword in enumerate(privacy.share or ()):
            if keyword in pseudonymise:
                message = f"`{keyword}` stands in both lists and is pseudonymised"
                self._warn(("privacy", "share", index), message, "Remove it from `share`.")
        share = frozenset(DEFAULT_SHARE if privacy.share is None else privacy.share) - pseudonymise
        shown = share | pseudonymise
        if "StudyInstanceUID" not in shown and privacy.share and shown <= ATTRIBUTES.keys():
            message = "without StudyInstanceUID the control plane cannot tell which images form a study"
            self._warn(("privacy", "share"), message, "Share or pseudonymise it.")
        return Privacy(share=share, pseudonymise=pseudonymise)

    def _keywords(self, section: str, keywords: Iterable[str]) -> None:
        seen: set[str] = set()
        for index, keyword in enumerate(keywords):
            if keyword not in ATTRIBUTES:
                meant = nearest(keyword, list(ATTRIBUTES))
                hint = f"Did you mean `{meant}`?" if meant else "docs/policy.md lists the attributes."
                self._error(("privacy", section, index), f"there is no attribute `{keyword}`", hint)
            elif keyword in seen:
                self._warn(("privacy", section, index), f"`{keyword}` stands here twice")
            seen.add(keyword)

    # --- places -------------------------------------------------------------------------------------------------

    def _unique(self, section: str, names: list[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                first = _find(self._root, (section, names.index(name), "name")).line
                message = f"the name `{name}` is already taken (line {first})"
                self._error((section, index, "name"), message, f"Give each of the {section} a name of its own.")

    def _error(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        node = _find(self._root, path)
        self._add("error", node.line, node.column, message, hint)

    def _warn(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        node = _find(self._root, path)
        self._add("warning", node.line, node.column, message, hint)

    def _say_inside(
        self, severity: Literal["error", "warning"], index: int, key: str, column: int, message: str, hint: str
    ) -> None:
        """Point into the value of a destination's key."""
        node = _find(self._root, ("destinations", index, key))
        line, place = node.line, node.column
        if isinstance(node, Scalar):
            line, place = place_in_file(self._text, node, 1, column)
        self._add(severity, line, place, message, hint)

    def _add(self, severity: Literal["error", "warning"], line: int, column: int, message: str, hint: str) -> None:
        self.diagnostics.append(Diagnostic(severity=severity, line=line, column=column, message=message, hint=hint))


class _Report:
    """Findings of those who read a part of the document."""

    def __init__(self, meaning: Meaning) -> None:
        self.error, self.warn = meaning._error, meaning._warn


def _find(root: Node, path: tuple[str | int, ...]) -> Node:
    node = root
    for step in path:
        if isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)][1]
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
    return node


def _known(what: str, names: list[str]) -> str:
    return f"Known {what}: {', '.join(names)}." if names else f"The document has no {what}."
