"""Metrics in the Prometheus text format as figures for the centre. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from mesh.v1.sync_pb2 import Figure

MOST = 1000
_SAMPLE = re.compile(r"^([a-z_]+)(?:\{([^{}]*)\})? (\S+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"\\]*)"')


def figures_of(text: str) -> list[Figure]:
    """The first thousand samples; HAProxy's NaN, for what it never measured, is left out."""
    return list(_figures(text))[:MOST]


def _figures(text: str) -> Iterator[Figure]:
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        try:
            value = float(sample[3])
        except ValueError:
            continue
        if not math.isnan(value):
            yield Figure(name=sample[1], labels=dict(_LABEL.findall(sample[2] or "")), value=value)
