"""A small reader of CEL's tokens: which names a condition uses, and where its `present("…")` tests stand.

It needs to know strings and comments, so that a name inside a literal is not taken for a variable; the grammar is the
engine's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<string>(?:[rRbB]{1,2})?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
          |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9][A-Za-z0-9.]*)
      | (?P<space>\s+)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token with its place: offsets into the text, line and column from 1."""

    kind: str
    text: str
    start: int
    end: int
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceTest:
    """One `present("Keyword")`; `keyword` is None when the argument is not a plain literal."""

    keyword: str | None
    source: str
    start: int
    end: int
    line: int
    column: int

    def padded(self, variable: str) -> str:
        """The variable in as many characters (and lines) as the test, so that the engine's columns stay true."""
        rest = self.source[len(variable) :]
        return variable[: len(self.source)] + re.sub(r"[^\n]", " ", rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A string literal as written, with its place."""

    source: str
    line: int
    column: int


def tokens(text: str) -> Iterator[Token]:
    """Yield what is neither space nor comment."""
    line, line_start = 1, 0
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind not in {"space", "comment"}:
            yield Token(
                kind=kind,
                text=match.group(),
                start=match.start(),
                end=match.end(),
                line=line,
                column=match.start() - line_start + 1,
            )
        if "\n" in match.group():
            line += match.group().count("\n")
            line_start = match.start() + match.group().rindex("\n") + 1


def identifiers(text: str) -> frozenset[str]:
    """Every name that occurs as a token; names after a dot and macro variables too, which does no harm."""
    return frozenset(token.text for token in tokens(text) if token.kind == "name")


def presence_tests(text: str) -> tuple[PresenceTest, ...]:
    """Every call of `present`, in order."""
    found = []
    all_tokens = list(tokens(text))
    for i, token in enumerate(all_tokens):
        if token.kind != "name" or token.text != "present" or (i and all_tokens[i - 1].text == "."):
            continue
        call = all_tokens[i : i + 4]
        shape = [t.text if t.kind == "mark" else t.kind for t in call]
        plain = shape == ["name", "(", "string", ")"] and call[2].text[0] in "\"'" and "\n" not in call[2].text
        place, end = (call[2], call[3].end) if plain else (token, token.end)
        found.append(
            PresenceTest(
                keyword=call[2].text.strip("\"'") if plain else None,
                source=text[token.start : end],
                start=token.start,
                end=end,
                line=place.line,
                column=place.column,
            )
        )
    return tuple(found)


def regex_literals(text: str) -> tuple[Literal, ...]:
    """The patterns of `x.matches("…")` and `matches(x, "…")` that are written as literals."""
    found = []
    all_tokens = list(tokens(text))
    for i, token in enumerate(all_tokens):
        if token.text != "matches" or token.kind != "name":
            continue
        for before, literal, after in zip(all_tokens[i + 1 :], all_tokens[i + 2 :], all_tokens[i + 3 :], strict=False):
            if literal.kind == "string" and before.text in {"(", ","} and after.text == ")":
                found.append(Literal(source=literal.text, line=literal.line, column=literal.column))
            if before.text == ")":
                break
    return tuple(found)
