"""YAML read into nodes that know their place in the file, with everything refused that a policy does not need.

Anchors, aliases, tags, merge keys, duplicate keys and several documents are errors: each has surprised somebody, and
aliases can grow a small file into a huge one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 12
MAX_NODES = 50_000

_PREFIX = "tag:yaml.org,2002:"
_READS_AS = {
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
    "merge": "a merge key",
    "value": "a value marker",
}


class NotYaml(Exception):
    """The text is not the YAML that a policy is written in; says where and what to do."""

    def __init__(self, message: str, *, line: int, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.hint = line, column, hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusual:
    """A scalar that YAML reads as something no policy field takes (a date, `.inf`, `0o17` …)."""

    text: str


Plain = str | int | bool | None | Unusual


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value as written."""

    line: int
    column: int
    start: int
    """Offset of its first character in the text."""
    end: int
    value: Plain
    text: str
    """The value as text, whatever YAML makes of it."""
    reads_as: str
    """What YAML makes of it, in plain words."""
    style: str | None

    def plain(self) -> Plain:
        """The value without its place."""
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    reads_as: str = "a list"

    def plain(self) -> list[object]:
        """The values without their places."""
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Keys with values."""

    line: int
    column: int
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)
    reads_as: str = "a group of keys"

    def plain(self) -> dict[str, object]:
        """The values without their places."""
        return {key: node.plain() for key, (_, node) in self.entries.items()}


Node = Scalar | Sequence | Mapping


def read_yaml(text: str) -> Node:
    """Read one document. Raises NotYaml with the place of the first thing that is wrong."""
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as error:
        raise _translated(error, text) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        raise NotYaml(
            "there is a control character that text files do not have",
            line=before.count("\n") + 1,
            column=error.position - (before.rfind("\n") + 1) + 1,
            hint="Save the file as plain UTF-8 text.",
        ) from None
    except (RecursionError, ValueError, OverflowError):
        raise NotYaml("this is not YAML that a policy is written in", line=1, column=1) from None


class _Reader:
    """Builds nodes from the parser's events, one level of Python calls for each level of nesting."""

    def __init__(self, text: str) -> None:
        self._loader = yaml.SafeLoader(text)
        self._nodes = 0

    def document(self) -> Node:
        events = self._events()
        next(events)  # stream start
        if isinstance(next(events), yaml.StreamEndEvent):
            raise NotYaml(
                "the file is empty",
                line=1,
                column=1,
                hint="The least policy is three lines: `skerry: 1`, `destinations: []`, `routes: []`.",
            )
        root = self._node(next(events), events, depth=0)
        next(events)  # document end
        after = next(events)
        if not isinstance(after, yaml.StreamEndEvent):
            line, column = _place(after.start_mark)
            raise NotYaml(
                "there is a second document in this file",
                line=line,
                column=column,
                hint="Keep one policy in one file, without `---` in between.",
            )
        return root

    def _events(self) -> Iterator[yaml.Event]:
        while self._loader.check_event():
            event: yaml.Event = self._loader.get_event()  # type: ignore[no-untyped-call]
            yield event

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Node:
        line, column = _place(event.start_mark)
        self._refuse_extras(event, line, column, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            sequence = Sequence(line=line, column=column)
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                sequence.items.append(self._node(item, events, depth=depth + 1))
            return sequence
        mapping = Mapping(line=line, column=column)
        while not isinstance(item := next(events), yaml.MappingEndEvent):
            key = self._node(item, events, depth=depth + 1)
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                hint = f'Write it in quotes: "{key.text}".' if isinstance(key, Scalar) and key.text else ""
                raise NotYaml("a key must be text", line=key.line, column=key.column, hint=hint)
            self._refuse_duplicate(mapping, key)
            mapping.entries[key.value] = (key, self._node(next(events), events, depth=depth + 1))
        return mapping

    def _refuse_extras(self, event: yaml.Event, line: int, column: int, depth: int) -> None:
        self._nodes += 1
        what = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            what = "anchors and aliases (& and *) are not used in policies"
            hint = "Write the value out where it is needed. Text that begins with & or * needs quotes."
        elif getattr(event, "tag", None) is not None:
            what, hint = "tags (!) are not used in policies", "Text that begins with ! needs quotes."
        elif depth > MAX_DEPTH:
            what, hint = "the document is nested too deeply", "Is a bracket left open?"
        elif self._nodes > MAX_NODES:
            what, hint = f"the document has more than {MAX_NODES} values", "Split the policy."
        if what:
            raise NotYaml(what, line=line, column=column, hint=hint)

    @staticmethod
    def _refuse_duplicate(mapping: Mapping, key: Scalar) -> None:
        if key.text in mapping.entries:
            first = mapping.entries[key.text][0].line
            raise NotYaml(
                f"`{key.text}` stands here a second time (first on line {first})",
                line=key.line,
                column=key.column,
                hint="Keep one of them; YAML would silently take the last.",
            )

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        resolved = self._loader.resolve(  # type: ignore[no-untyped-call]
            yaml.ScalarNode, event.value, event.implicit
        )
        kind = str(resolved).removeprefix(_PREFIX)
        value: Plain = Unusual(text=event.value)
        if kind == "str":
            value = event.value
        elif kind == "int" and event.value.lstrip("+-").isdecimal() and len(event.value) < 20:
            value = int(event.value)
        elif kind == "bool":
            value = event.value.lower() in {"true", "yes", "on"}
        elif kind == "null":
            value = None
        line, column = _place(event.start_mark)
        return Scalar(
            line=line,
            column=column,
            start=_offset(event.start_mark),
            end=_offset(event.end_mark),
            value=value,
            text=event.value,
            reads_as=_READS_AS.get(kind, "text"),
            style=event.style,
        )


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _offset(mark: Any) -> int:
    return int(mark.index)


def _translated(error: yaml.MarkedYAMLError, text: str) -> NotYaml:
    mark = error.problem_mark or error.context_mark
    line, column = _place(mark) if mark else (1, 1)
    problem = str(error.problem or error.context or "this is not YAML")
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    if "\\t" in problem or here[: column - 1].strip(" ") == "\t" or here[column - 1 : column] == "\t":
        return NotYaml("tabs cannot indent YAML", line=line, column=column, hint="Indent with spaces.")
    if "mapping values are not allowed" in problem:
        hint = "Is the line above indented as you meant it? Text that holds `: ` needs quotes."
        return NotYaml("a `:` is not allowed here", line=line, column=column, hint=hint)
    if "end of stream" in problem or "stream end" in problem:
        return NotYaml("the file ends too early", line=line, column=column, hint=_opened(error))
    hint = "Check the indentation and the brackets; text with special characters needs quotes."
    return NotYaml(f"not valid YAML: {problem}", line=line, column=column, hint=hint)


def _opened(error: yaml.MarkedYAMLError) -> str:
    if error.context_mark is None:
        return "Is a bracket or a quote left open?"
    return f"Is the bracket or quote on line {error.context_mark.line + 1} left open?"
