"""Documents of policies in layers: mesh, groups by name, site, node. A lower one says openly what it replaces. Pure.

A layer is a policy that may leave parts out, with one more key at its top: `override`, a list of what it says anew:
`destinations/pacs` for an entry of a list, `retention` for a whole section.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from edge.policy.wording import nearest
from edge.policy.yaml_text import MAX_BYTES, Mapping, Node, NotYaml, Scalar, Unusual, read_yaml
from edge.policy.yaml_text import Sequence as ListNode

NAMED = ("destinations", "transforms", "routes", "budgets", "pools")
"""The lists of a policy whose entries have names."""

FORMAT, OVERRIDE = "skerry", "override"
KINDS = ("mesh", "group", "site", "node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One document of one scope."""

    name: str
    """`mesh`, `group/NAME`, `site/NAME` or `node/ID`."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFinding:
    """Something about one place in one layer's document."""

    layer: str
    severity: str
    line: int
    column: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that a layer says, with its place there."""

    path: str
    """`destinations/pacs`, or `retention`."""
    layer: str
    node: Node
    line: int
    before: tuple[str, ...] = ()
    """The layers above that said something else; the nearest last."""


@dataclass(slots=True, kw_only=True)
class Merged:
    """What all layers say together."""

    lists: dict[str, dict[str, Entry]] = field(default_factory=lambda: {name: {} for name in NAMED})
    sections: dict[str, Entry] = field(default_factory=dict)
    findings: list[LayerFinding] = field(default_factory=list)
    readable: bool = True
    """Whether every layer could be read at all."""

    def entries(self) -> Iterator[Entry]:
        """Everything that is said, lists first, each in its order."""
        for named in self.lists.values():
            yield from named.values()
        yield from self.sections.values()


def in_order(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Mesh, groups by name, site, node."""
    return tuple(sorted(layers, key=lambda one: (KINDS.index(one.name.partition("/")[0]), one.name)))


def plain_text(document: bytes) -> str:
    """The text as places in it are counted: without a byte order mark, lines ending in one character."""
    text = document.decode("utf-8", "replace").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def merge(layers: Sequence[Layer]) -> Merged:
    """Put layers together, the upper ones first. Total: what is wrong stands in the findings."""
    merged = Merged()
    for layer in layers:
        _Taking(merged, layer).take()
    return merged


class _Taking:
    """One layer on its way into what stands above it."""

    def __init__(self, merged: Merged, layer: Layer) -> None:
        self._merged, self._layer = merged, layer
        self._said: dict[str, Node] = {}
        self._overrides: dict[str, Scalar] = {}

    def take(self) -> None:
        root = self._read()
        if root is None:
            self._merged.readable = False
            return
        self._read_overrides(root)
        for key, (key_node, value) in root.entries.items():
            if key in {FORMAT, OVERRIDE}:
                continue
            self._refuse_unusual(value)
            if key in NAMED and isinstance(value, ListNode):
                for number, item in enumerate(value.items):
                    self._put(self._merged.lists[key], self._path_of(key, number, item), item, _name_node(item))
            elif key in NAMED:
                self._say(value, f"`{key}` must be a list, not {value.reads_as}", f"Write `{key}: []` for none.")
            else:
                self._put(self._merged.sections, key, value, key_node)
        for path, place in self._overrides.items():
            if path not in self._said:
                hint = f"Say what `{path}` shall be here, or take it out of `{OVERRIDE}`."
                self._say(place, f"this layer overrides `{path}` and does not say it", hint)

    def _read(self) -> Mapping | None:
        if len(self._layer.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            self._find(1, 1, f"the document is larger than {MAX_BYTES} bytes", "A policy is a short text.")
            return None
        try:
            root = read_yaml(self._layer.text)
        except NotYaml as error:
            self._find(error.line, error.column, str(error), error.hint)
            return None
        if not isinstance(root, Mapping):
            self._say(root, f"a layer is a group of keys, not {root.reads_as}", "Begin with `skerry: 1`.")
            return None
        _, version = root.entries.get(FORMAT, (None, None))
        if version is None:
            self._say(root, f"`{FORMAT}` is missing", f"Begin with `{FORMAT}: 1`.")
        elif version.plain() != 1 or version.plain() is True:
            self._say(version, f"this is not a document format that is known here; it must be `{FORMAT}: 1`", "")
        return root

    def _read_overrides(self, root: Mapping) -> None:
        _, said = root.entries.get(OVERRIDE, (None, None))
        if said is None:
            return
        hint = f"Write `{OVERRIDE}: [destinations/pacs, retention]`."
        if not isinstance(said, ListNode):
            self._say(said, f"`{OVERRIDE}` must be a list, not {said.reads_as}", hint)
            return
        known = [one.path for one in self._merged.entries()]
        for item in said.items:
            if not isinstance(item, Scalar) or not isinstance(item.value, str):
                self._say(item, f"`{OVERRIDE}` holds names of what stands above, not {item.reads_as}", hint)
            elif item.value in known:
                self._overrides[item.value] = item
            else:
                meant = nearest(item.value, tuple(known))
                above = f"What stands above: {', '.join(known[:20])}." if known else "No layer stands above this one."
                hint = f"Did you mean `{meant}`?" if meant else above
                self._say(item, f"no layer above says `{item.value}`, so it cannot be overridden", hint)

    def _path_of(self, key: str, number: int, item: Node) -> str:
        name = _name_of(item)
        path = f"{key}/{name}"
        if name is None or path in self._said:  # the edge's own check says what is wrong with it
            return f"{key}/{self._layer.name}[{number + 1}]"
        return path

    def _put(self, kept: dict[str, Entry], path: str, node: Node, place: Node) -> None:
        above, self._said[path] = kept.get(path), node
        before: tuple[str, ...] = ()
        if above is not None:
            before = (*above.before, above.layer)
            if path not in self._overrides:
                where = f"layer {above.layer} says `{path}` already (line {above.line} there)"
                hint = f"Write `{OVERRIDE}: [{path}]` at the top of this layer if it shall count here"
                self._say(place, where, hint + ("; or choose another name." if "/" in path else "."))
        kept[path] = Entry(path=path, layer=self._layer.name, node=node, line=place.line, before=before)

    def _refuse_unusual(self, node: Node) -> None:
        if isinstance(node, Scalar) and isinstance(node.value, Unusual):
            hint = f'YAML reads this as {node.reads_as}; if it is meant as text, write it in quotes: "{node.text}".'
            self._say(node, "no key of a policy takes this value", hint)
        elif isinstance(node, ListNode):
            for item in node.items:
                self._refuse_unusual(item)
        elif isinstance(node, Mapping):
            for _, value in node.entries.values():
                self._refuse_unusual(value)

    def _say(self, node: Node, message: str, hint: str) -> None:
        self._find(node.line, node.column, message, hint)

    def _find(self, line: int, column: int, message: str, hint: str) -> None:
        self._merged.findings.append(
            LayerFinding(layer=self._layer.name, severity="error", line=line, column=column, message=message, hint=hint)
        )


def _name_node(item: Node) -> Node:
    return item.entries["name"][1] if isinstance(item, Mapping) and "name" in item.entries else item


def _name_of(item: Node) -> str | None:
    node = _name_node(item)
    return node.value if node is not item and isinstance(node, Scalar) and isinstance(node.value, str) else None
