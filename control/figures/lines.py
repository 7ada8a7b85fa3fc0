"""Samples of nodes in the Prometheus text format (pure). What a node says is checked: it may be hostile."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST_SAMPLES = 1000
MOST_LABELS = 6
LONGEST_VALUE = 64
_NAME = re.compile(r"(skerry_edge|skerry_haproxy|haproxy)_[a-z0-9_]{1,80}", re.ASCII)
_LABEL = re.compile(r"[a-z_][a-z0-9_]{0,40}", re.ASCII)
_OURS = frozenset({"site", "node"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One figure of a node."""

    name: str
    labels: Mapping[str, str]
    value: float


def lines_of(samples: Iterable[Sample], *, site: str, node: str) -> str:
    """The good ones, one a line, each with the site and the node; the others are left out."""
    found: dict[str, str] = {}
    for sample in samples:
        if len(found) >= MOST_SAMPLES:
            break
        if not _is_good(sample):
            continue
        labels = {"site": site, "node": node, **dict(sorted(sample.labels.items()))}
        inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        found[f"{sample.name}{{{inside}}}"] = _number(sample.value)
    return "".join(f"{series} {value}\n" for series, value in found.items())


def exposition(texts: Iterable[str]) -> str:
    """The lines of many nodes as one document: each family once, with its type."""
    families: dict[str, list[str]] = {}
    for text in texts:
        for line in text.splitlines():
            families.setdefault(line.partition("{")[0], []).append(line)
    parts = []
    for name, lines in sorted(families.items()):
        kind = "counter" if name.endswith("_total") else "gauge"
        parts += [f"# HELP {name} As the node reported it.", f"# TYPE {name} {kind}", *lines]
    return "\n".join(parts) + "\n" if parts else ""


def _is_good(sample: Sample) -> bool:
    if _NAME.fullmatch(sample.name) is None or len(sample.labels) > MOST_LABELS or _OURS & sample.labels.keys():
        return False
    return all(
        _LABEL.fullmatch(name) is not None and len(value) <= LONGEST_VALUE and value.isprintable()
        for name, value in sample.labels.items()
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 1 << 53 else repr(value)
