"""All layers that count, and who is under which. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from control.scopes.layers import Layer, LayerFinding, plain_text
from control.scopes.render import Effective, render
from control.sites.service import SiteFacts

MESH = "mesh"
MOST_SITES_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The layers that count, and the groups."""

    texts: Mapping[str, str]
    """Scope -> text."""
    groups: Mapping[str, Sequence[int]]
    """Group -> its sites."""

    def saying(self, scope: str, document: bytes) -> Book:
        """The same with another document in one scope."""
        return replace(self, texts={**self.texts, scope: plain_text(document)})

    def governs(self, site: SiteFacts) -> bool:
        """Whether layers say what the site runs: it is in a group, or has a layer of its own."""
        return f"site/{site.name}" in self.texts or any(site.id in members for members in self.groups.values())

    def stack(self, site: SiteFacts, node_id: str = "") -> tuple[Layer, ...]:
        """The layers over a site, or over a node of it."""
        scopes = [MESH, *(f"group/{name}" for name, members in sorted(self.groups.items()) if site.id in members)]
        scopes += [f"site/{site.name}", *([f"node/{node_id}"] if node_id else [])]
        return tuple(Layer(name=scope, text=self.texts[scope]) for scope in scopes if scope in self.texts)

    def alone(self, scope: str) -> tuple[Layer, ...]:
        """A layer over nobody, under the mesh's."""
        scopes = dict.fromkeys((MESH, scope))
        return tuple(Layer(name=one, text=self.texts[one]) for one in scopes if one in self.texts)


class Renderer:
    """Renders each stack once: a thousand sites have few different ones."""

    def __init__(self, book: Book, *, checked: bool) -> None:
        self.book, self._checked = book, checked
        self._known: dict[tuple[Layer, ...], tuple[Effective, bytes]] = {}

    def of(self, site: SiteFacts, node_id: str = "") -> tuple[Effective, bytes]:
        """The effective policy, and the SHA-256 of its text."""
        stack = self.book.stack(site, node_id)
        found = self._known.get(stack)
        if found is None:
            effective = render(stack, checked=self._checked)
            found = self._known[stack] = (effective, hashlib.sha256(effective.document).digest())
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding, and of whose effective policy."""

    finding: LayerFinding
    of: tuple[str, ...]
    """Names of sites and `node/ID`; the first few."""

    def document(self) -> dict[str, object]:
        """As it is shown."""
        one = self.finding
        return {
            "severity": one.severity, "layer": one.layer, "line": one.line, "column": one.column,
            "message": one.message, "hint": one.hint, "of": list(self.of),
        }  # fmt: skip


def gathered(found: Sequence[tuple[str, Sequence[LayerFinding]]]) -> tuple[Found, ...]:
    """Each finding once, with whom it concerns."""
    by_finding: dict[LayerFinding, list[str]] = {}
    for who, findings in found:
        for one in findings:
            by_finding.setdefault(one, []).append(who)
    return tuple(Found(finding=one, of=tuple(who[:MOST_SITES_NAMED])) for one, who in by_finding.items())
