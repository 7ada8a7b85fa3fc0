"""Cheap facts first: what of a condition can be seen to be false without asking the engine (pure).

A test is drawn once, when the condition is compiled, from the parts that compare one name with a literal. It may only
say "this is certainly false"; whatever it does not understand it leaves to the engine. In CEL `false && x` is false
also when x fails, so one part that is false settles a whole conjunction. Loops are the exception, because too many
steps end an evaluation as a whole: no part behind one is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from edge.policy.cel_text import Token, tokens

Kind = Literal["text", "integer", "decimal", "texts", "presence"]
Seen = Mapping[str, object]
"""The value of every name that a condition reads, in the type of its kind; the empty one where there is none."""
Test = Callable[[Seen], bool]
"""Whether the condition is certainly false."""

LOOPS = frozenset({"all", "exists", "exists_one", "filter", "map"})
LARGEST_INTEGER = 2**63 - 1
_SPEAKS_OF_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}
_PLAIN = re.compile(r"""(?:"[^"\\]*"|'[^'\\]*')\Z""")


def pretest(source: str, kinds: Mapping[str, Kind]) -> Test | None:
    """The test of a condition that compiles; None when nothing cheap can be said of it.

    `kinds` holds the names that can be read; a name that a loop binds is never taken for one of them.
    """
    return _any_of(list(tokens(source)), kinds)


def fits(value: object, kind: Kind) -> bool:
    """Whether the engine takes this value for one of the kind, so that binding it cannot fail."""
    match kind:
        case "text":
            # The engine reads a text up to its first NUL.
            return type(value) is str and "\0" not in value and (value.isascii() or _encodable(value))
        case "integer":
            return type(value) is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER
        case "decimal":
            return type(value) is float
        case "texts":
            return type(value) is tuple and all(fits(one, "text") for one in value)
        case "presence":
            return type(value) is bool


def _any_of(found: Sequence[Token], kinds: Mapping[str, Kind]) -> Test | None:
    """A disjunction is false when all its parts are."""
    if any(token.text == "?" for token in _outside(found)):
        return None
    parts = _split(found, "|")
    tests = [test for part in parts if (test := _all_of(part, kinds)) is not None]
    if len(tests) < len(parts) or not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda seen: all(test(seen) for test in tests)


def _all_of(found: Sequence[Token], kinds: Mapping[str, Kind]) -> Test | None:
    """A conjunction is false when one of its parts is."""
    tests: list[Test] = []
    for part in _split(found, "&"):
        if any(token.text in LOOPS for token in part):
            break
        if (test := _part(part, kinds)) is not None:
            tests.append(test)
    if len(tests) < 2:
        return tests[0] if tests else None
    if len(tests) == 2:
        one, other = tests
        return lambda seen: one(seen) or other(seen)
    return lambda seen: any(test(seen) for test in tests)


def _part(part: Sequence[Token], kinds: Mapping[str, Kind]) -> Test | None:
    if len(part) > 2 and part[0].text == "(" and _closes(part) == len(part) - 1:
        return _any_of(part[1:-1], kinds)
    shape = " ".join(token.text if token.kind == "mark" else token.kind for token in part)
    match shape:
        case "name":
            return _presence(part[0].text, kinds, wanted=True)
        case "! name":
            return _presence(part[1].text, kinds, wanted=False)
        case "name = = string" | "name = = number":
            return _equal(part[0].text, part[3], kinds, wanted=True)
        case "name ! = string" | "name ! = number":
            return _equal(part[0].text, part[3], kinds, wanted=False)
        case "string = = name" | "number = = name":
            return _equal(part[3].text, part[0], kinds, wanted=True)
        case "string ! = name" | "number ! = name":
            return _equal(part[3].text, part[0], kinds, wanted=False)
        case "name . name ( string )":
            return _speaks(part[0].text, part[2].text, part[4], kinds)
        case "string name name" if part[1].text == "in":
            return _listed(part[2].text, part[0], kinds)
    if [token.text for token in part[1:3]] == ["in", "["] and part[0].kind == "name":
        return _one_of(part[0].text, part[3:], kinds)
    return None


def _presence(name: str, kinds: Mapping[str, Kind], *, wanted: bool) -> Test | None:
    if kinds.get(name) != "presence":
        return None
    return lambda seen: seen[name] is not wanted


def _equal(name: str, literal: Token, kinds: Mapping[str, Kind], *, wanted: bool) -> Test | None:
    value = _value(literal, kinds.get(name))
    if value is None:
        return None
    if wanted:
        return lambda seen: seen[name] != value
    return lambda seen: seen[name] == value


def _speaks(name: str, method: str, literal: Token, kinds: Mapping[str, Kind]) -> Test | None:
    value, holds = _value(literal, "text"), _SPEAKS_OF_TEXT.get(method)
    if kinds.get(name) != "text" or not isinstance(value, str) or holds is None:
        return None
    return lambda seen: not holds(seen[name], value)  # type: ignore[arg-type]  # its kind is text


def _listed(name: str, literal: Token, kinds: Mapping[str, Kind]) -> Test | None:
    value = _value(literal, "text")
    if kinds.get(name) != "texts" or value is None:
        return None
    return lambda seen: value not in seen[name]  # type: ignore[operator]  # its kind is texts


def _one_of(name: str, rest: Sequence[Token], kinds: Mapping[str, Kind]) -> Test | None:
    """`name in ["a", "b"]`: literals with commas between them, and nothing behind the bracket."""
    kind = kinds.get(name)
    if kind not in {"text", "integer"} or not rest or rest[-1].text != "]" or len(rest) % 2:
        return None
    values = [_value(token, kind) for token in rest[:-1:2]]
    if None in values or any(token.text != "," for token in rest[1:-1:2]):
        return None
    wanted = frozenset(values)
    return lambda seen: seen[name] not in wanted


def _value(literal: Token, kind: Kind | None) -> str | int | None:
    """A literal that means what it shows, of the kind that it is compared with."""
    if kind == "text" and literal.kind == "string" and _PLAIN.match(literal.text):
        text = literal.text[1:-1]
        return text if fits(text, "text") else None
    if kind == "integer" and literal.kind == "number" and re.fullmatch(r"0|[1-9][0-9]{0,17}", literal.text):
        return int(literal.text)
    return None


def _split(found: Sequence[Token], mark: str) -> list[list[Token]]:
    """The parts between `mark mark` outside of all brackets."""
    outside = {token.start for token in _outside(found)}
    parts: list[list[Token]] = [[]]
    for token in found:
        if token.text != mark or token.start not in outside:
            parts[-1].append(token)
        elif parts[-1]:  # the second of the two opens no part of its own
            parts.append([])
    return parts


def _outside(found: Sequence[Token]) -> list[Token]:
    """The tokens that stand in no bracket."""
    depth, outside = 0, []
    for token in found:
        mark = token.text if token.kind == "mark" else ""
        depth -= mark in {")", "]", "}"}
        if depth == 0:
            outside.append(token)
        depth += mark in {"(", "[", "{"}
    return outside


def _closes(part: Sequence[Token]) -> int:
    """Where the bracket ends that the part begins with."""
    depth = 0
    for place, token in enumerate(part):
        if token.kind == "mark":
            depth += (token.text in {"(", "[", "{"}) - (token.text in {")", "]", "}"})
        if depth == 0:
            return place
    return -1


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
