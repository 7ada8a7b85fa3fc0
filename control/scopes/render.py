"""The effective policy of a site or node: layers in, one ordinary policy out, byte for byte the same. Pure.

An entry stands where the uppermost layer that says it put it; what a lower layer adds comes behind. All routes are
evaluated, so their order decides only how a decision reads and which `wait` counts when several name a destination.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent

import yaml

from control.scopes.layers import FORMAT, NAMED, Entry, Layer, LayerFinding, Merged, in_order, merge
from edge.policy.document import Diagnostic, check_policy
from edge.policy.place import place_in_file
from edge.policy.yaml_text import Mapping, Node, NotYaml, Scalar, Unusual, read_yaml
from edge.policy.yaml_text import Sequence as ListNode

ORDER = (*NAMED[:3], "zone", "duplicates", "budgets", "pools", "retention", "privacy")
REQUIRED = ("destinations", "routes")
Place = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which layer an entry of an effective policy is from."""

    entry: str
    layer: str
    line: int
    before: tuple[str, ...]
    """The layers above that said something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A policy rendered from layers. It may run when no finding is an error."""

    document: bytes
    origins: tuple[Origin, ...]
    findings: tuple[LayerFinding, ...]

    @property
    def loads(self) -> bool:
        """Whether an edge would take it."""
        return not any(one.severity == "error" for one in self.findings)


def render(layers: Sequence[Layer], *, checked: bool = True) -> Effective:
    """The effective policy of these layers. With `checked`, everything that the edge's own code says of it.

    Total: each finding names the layer that it lies in, and line and column there.
    """
    ordered = in_order(layers)
    merged = merge(ordered)
    text = _text(ordered, merged)
    findings = list(merged.findings)
    if checked and merged.readable and ordered:
        known = {(one.layer, one.line, one.column) for one in findings}
        said = _located(check_policy(text), text, merged, ordered)
        findings += [one for one in said if (one.layer, one.line, one.column) not in known]
    place = {one.name: number for number, one in enumerate(ordered)}
    findings.sort(key=lambda one: (place[one.layer], one.line, one.column))
    origins = tuple(
        Origin(entry=one.path, layer=one.layer, line=one.line, before=one.before) for one in _in_text(merged)
    )
    return Effective(document=text.encode("utf-8", "surrogatepass"), origins=origins, findings=tuple(findings))


def _keys(merged: Merged) -> tuple[str, ...]:
    return (*ORDER, *(key for key in merged.sections if key not in ORDER))


def _in_text(merged: Merged) -> Iterator[Entry]:
    for key in _keys(merged):
        yield from merged.lists.get(key, {}).values()
        if key in merged.sections:
            yield merged.sections[key]


def _text(layers: Sequence[Layer], merged: Merged) -> str:
    saying = {entry.layer for entry in merged.entries()}
    names = ", ".join(one.name for one in layers if one.name in saying) or "no layer"
    parts = [f"# Rendered from: {names}. Change these layers, not this text.\n{FORMAT}: 1\n"]
    for key in _keys(merged):
        if key in merged.sections:
            entry = merged.sections[key]
            parts.append(f"# from {_from(entry)}\n{_dump({key: _plain(entry.node)})}")
        elif merged.lists.get(key):
            parts.append(f"{key}:\n")
            for entry in merged.lists[key].values():
                parts.append(indent(f"# from {_from(entry)}\n{_dump([_plain(entry.node)])}", "  "))
        elif key in REQUIRED:
            parts.append(f"{key}: []\n")
    return "".join(parts)


def _from(entry: Entry) -> str:
    return entry.layer + (f", instead of {entry.before[-1]}" if entry.before else "")


def _dump(value: object) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30))


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are written by hand."""


def _text_node(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text_node)


def _plain(node: Node) -> object:
    """The value; one that no policy takes, and that was found wrong already, as its text."""
    if isinstance(node, Scalar):
        return node.value.text if isinstance(node.value, Unusual) else node.value
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    return {key: _plain(value) for key, (_, value) in node.entries.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """The same value in the rendered text and in its layer."""

    layer: str
    here: Node
    there: Node


def _located(said: Sequence[Diagnostic], text: str, merged: Merged, layers: Sequence[Layer]) -> Iterator[LayerFinding]:
    """What the edge says of the rendered text, at the places in the layers that it came from."""
    if not said:
        return
    try:
        root = read_yaml(text)
    except NotYaml:  # such as too many values, only when taken together
        root = Mapping(line=1, column=1)
        merged = Merged()
    assert isinstance(root, Mapping)
    pairs = sorted(_pairs(root, merged), key=lambda one: (one.here.line, one.here.column))
    texts = {one.name: one.text for one in layers}
    for one in said:
        exact = [pair for pair in pairs if (pair.here.line, pair.here.column) == (one.line, one.column)]
        before = [pair for pair in pairs if (pair.here.line, pair.here.column) <= (one.line, one.column)]
        pair = exact[0] if exact else before[-1] if before else None
        if pair is None:
            layer, place = layers[-1].name, (1, 1)
        else:
            layer = pair.layer
            place = (pair.there.line, pair.there.column)
            if not exact:
                place = _inside(pair, text, texts[layer], one) or place
        yield LayerFinding(
            layer=layer, severity=one.severity, line=place[0], column=place[1], message=one.message, hint=one.hint
        )


def _pairs(root: Mapping, merged: Merged) -> Iterator[_Pair]:
    for key, named in merged.lists.items():
        _, rendered = root.entries.get(key, (None, None))
        if named and isinstance(rendered, ListNode):
            for entry, item in zip(named.values(), rendered.items, strict=True):
                yield from _same(entry.layer, item, entry.node)
    for key, entry in merged.sections.items():
        key_node, node = root.entries[key]
        yield _Pair(layer=entry.layer, here=key_node, there=_at(entry))
        yield from _same(entry.layer, node, entry.node)


def _at(entry: Entry) -> Node:
    return Mapping(line=entry.line, column=1)  # keys of a document stand at its left edge


def _same(layer: str, here: Node, there: Node) -> Iterator[_Pair]:
    yield _Pair(layer=layer, here=here, there=there)
    if isinstance(here, ListNode) and isinstance(there, ListNode):
        for one, other in zip(here.items, there.items, strict=True):
            yield from _same(layer, one, other)
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key, (key_node, value) in here.entries.items():
            yield _Pair(layer=layer, here=key_node, there=there.entries[key][0])
            yield from _same(layer, value, there.entries[key][1])


def _inside(pair: _Pair, text: str, layer_text: str, said: Diagnostic) -> Place | None:
    """A place within a text, such as a condition: the same character of it in the layer."""
    here, there = pair.here, pair.there
    if not isinstance(here, Scalar) or not isinstance(there, Scalar):
        return None
    if here.style == "|":
        number = said.line - here.line
        value, written = here.text.split("\n")[number - 1], text.split("\n")[said.line - 1]
        return place_in_file(layer_text, there, number, said.column - (len(written) - len(value)))
    if here.line != said.line or "\n" in here.text:
        return None
    offset = said.column - here.column
    written = text[here.start : here.start + offset]
    if here.style == "'":
        offset = len(written[1:].replace("''", "'"))
    elif here.style == '"':
        if "\\" in written:
            return None
        offset -= 1
    return place_in_file(layer_text, there, 1, offset + 1)
