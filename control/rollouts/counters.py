"""How many images a node took and refused, read from its figures. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SERIES = re.compile(r"^skerry_edge_instances_(refused|accepted)_total\{[^\n]*\} ([0-9]+)$", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Since the node's process began."""

    refused: int = 0
    accepted: int = 0


def read_counters(lines: str) -> Counters:
    """The counters in a node's lines, over all their labels; 0 where there are none."""
    found = {"refused": 0, "accepted": 0}
    for name, value in _SERIES.findall(lines):
        found[name] += int(value)
    return Counters(refused=found["refused"], accepted=found["accepted"])


def grown(now: int, before: int) -> int:
    """How much a counter rose; a node that began anew counts from 0."""
    return now - before if now >= before else now
