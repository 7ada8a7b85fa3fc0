"""What a transform does, as values: the policy makes them, the processes that deliver carry them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. Which fields count depends on its kind."""

    kind: str
    """`set`, `remove`, `copy`, `hash`, `map`, `regex`, `prefix`, `charset` or `remove_private`."""
    tag: int = 0
    """The attribute that it reads, and changes unless it is a copy."""
    to: int = 0
    """Where a copy goes."""
    value: str = ""
    """What is set, the prefix, or what a table's `otherwise` sets."""
    table: tuple[tuple[str, str], ...] = ()
    otherwise: str = "fail"
    """`fail`, `keep`, `remove` or `set`: what happens to a value that is not in the table."""
    pattern: str = ""
    keep: tuple[str, ...] = ()
    """Creators whose private attributes stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """Steps in order, under a name."""

    name: str
    steps: tuple[Step, ...]


def transform_of(values: Mapping[str, Any]) -> Transform:
    """The transform that `dataclasses.asdict` gave, also after a way through JSON."""
    return Transform(name=values["name"], steps=tuple(map(_step, values["steps"])))


def _step(values: Mapping[str, Any]) -> Step:
    table = tuple((str(old), str(new)) for old, new in values["table"])
    return Step(**{**values, "table": table, "keep": tuple(values["keep"])})
