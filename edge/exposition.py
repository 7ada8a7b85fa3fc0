"""`/metrics`: what all processes of a node have counted, and what core alone can say at this moment."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from edge import metrics
from edge.health import Condition
from edge.siblings import Siblings

READ_TRIES = 5
MOST_FIGURES = 1000
"""More travel to the centre with no report."""

_TOTALLED = {"skerry_edge_instances_accepted": "accepted", "skerry_edge_deliveries": "outcome"}
"""Metric families without their `_total`; of the second, each outcome is a key of its own."""


class Exposition:
    """Collects at each scrape."""

    def __init__(
        self,
        conditions: Callable[[], Sequence[Condition]],
        destinations: Callable[[], Collection[str]],
        siblings: Siblings,
    ) -> None:
        self._conditions, self._destinations, self._siblings = conditions, destinations, siblings
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The answer to a scrape."""
        return generate_latest(self._registry)

    def figures(self) -> list[dict[str, object]]:
        """Every counter and gauge as it stands, for the centre: `[{name, labels, value}]`. Histograms stay here."""
        return [
            {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
            for family in self.collect()
            if family.type in ("counter", "gauge")
            for sample in family.samples
            if not sample.name.endswith("_created")
        ][:MOST_FIGURES]

    def totals(self) -> dict[str, int]:
        """What all processes have accepted, and how their tries ended, since the node started."""
        found: dict[str, int] = {}
        for family in _counted():
            key = _TOTALLED.get(family.name)
            if key is None:
                continue
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    of = sample.labels.get("outcome", key)
                    found[of] = found.get(of, 0) + int(sample.value)
        ended = sum(int(one.get("ended", 0)) for one in self._siblings.processes().values())
        return {**found, "restarts": ended}

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not know names in advance."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric with its samples."""
        named = self._destinations()
        for one in _counted():
            if one.name == "skerry_edge_destination_up":
                # A destination that is gone stays in the files of the process that delivered to it.
                one.samples = [sample for sample in one.samples if sample.labels["destination"] in named]
            yield one
        yield self._health()
        yield self._restarts()
        info = GaugeMetricFamily("skerry_edge_build_info", "Always 1.", labels=["version"])
        info.add_metric([version("skerry")], 1)
        yield info

    def _health(self) -> Metric:
        family = GaugeMetricFamily(
            "skerry_edge_health_conditions", "Conditions that hold now.", labels=["code", "severity"]
        )
        held = [(one.code, str(one.severity)) for one in self._conditions()]
        for labels in sorted(set(held)):
            family.add_metric(list(labels), held.count(labels))
        return family

    def _restarts(self) -> Metric:
        family = CounterMetricFamily(
            "skerry_edge_process_restarts", "Processes that ended unexpectedly.", labels=["process"]
        )
        for name, one in self._siblings.processes().items():
            family.add_metric([name], one.get("ended", 0))
        return family


def _counted() -> Iterable[Metric]:
    if not metrics.PROCESS:
        return metrics.REGISTRY.collect()
    for _try in range(READ_TRIES):
        try:
            files: Any = MultiProcessCollector
            return list(files(None, os.environ["PROMETHEUS_MULTIPROC_DIR"]).collect())
        except (OSError, struct.error, ValueError):
            time.sleep(0.02)  # a process that starts is making its file at this moment
    return ()
