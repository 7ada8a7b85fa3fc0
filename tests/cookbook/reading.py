"""The cookbook page, taken apart: situations, their policies, and the rows of what comes out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "cookbook.md"
STAYS, PARKED, REPLACED = "stays on the node", "waits for a person", "is replaced by the next"
_PRIORITIES = ("stat", "bulk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One destination that an image reaches."""

    destination: str
    priority: str
    tags: Mapping[str, str]
    """What it has there; `*` for any value but the one that was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image of a situation."""

    calling_ae_title: str
    called_ae_title: str
    tags: Mapping[str, str]
    arrivals: tuple[Arrival, ...]
    fate: str
    """Why it arrives nowhere, or not everywhere; empty when it does."""
    away: tuple[str, ...] = ()
    """Destinations that take nothing meanwhile."""
    announced: bool = False
    """Whether its sender says which images it made (MPPS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One section of the page."""

    title: str
    policy: str
    rows: tuple[Row, ...]


def situations() -> list[Situation]:
    """All of them, in the order of the page."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [_situation(section) for section in sections]


def _situation(section: str) -> Situation:
    (policy,) = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    table = re.findall(r"^\| (.+) \|$", section.rpartition("```")[2], re.MULTILINE)
    return Situation(title=section.partition("\n")[0], policy=policy, rows=tuple(map(_row, table[2:])))


def _row(line: str) -> Row:
    sender, image, result = line.split(" | ")
    sender, announced, _ = sender.partition(", who announces it")
    sender, _, away = sender.partition(", while ")
    calling, _, called = sender.partition(" to ")
    result, _, rest = result.partition(", and ")
    fate = rest or (result if result in (STAYS, PARKED, REPLACED) else "")
    found = () if fate == result else tuple(_arrival(one) for one in re.split(r", (?![^(]*\))", result))
    return Row(
        calling_ae_title=calling,
        called_ae_title=called or "SKERRY",
        tags=_tags(image.strip("`")),
        arrivals=found,
        fate=fate,
        away=(away.removesuffix(" is away"),) if away else (),
        announced=bool(announced),
    )


def _arrival(text: str) -> Arrival:
    match = re.fullmatch(r"([\w.-]+)(?: \((.*)\))?", text)
    assert match is not None, text
    first, _, rest = (match[2] or "").partition(" ")
    urgent = first in _PRIORITIES
    tags = _tags(rest if urgent else match[2] or "")
    return Arrival(destination=match[1], priority=first if urgent else "normal", tags=tags)


def _tags(text: str) -> dict[str, str]:
    """`Keyword=value` pairs; a value with spaces stands in double quotes."""
    pairs = (pair.partition("=") for pair in _words(text))
    return {keyword: value for keyword, _, value in pairs}


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    return list(lexer)
