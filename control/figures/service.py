"""The rules of figures: heard with each status report, written together, shown to Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from control.clock import Clock
from control.db.session import Database
from control.figures import repository
from control.figures.lines import Sample, exposition, lines_of
from control.nodes.reports import SILENT_AFTER, NodeCaller
from control.principals import Scope

log = structlog.get_logger(__name__)

WRITE_SECONDS = 5.0


class FigureService:
    """Keeps the newest figures of each node. A process that dies loses a few seconds of them, and nothing else."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._heard: dict[tuple[str, str], Mapping[str, Any]] = {}

    def hear(self, caller: NodeCaller, samples: Iterable[Sample], *, source: str = "edge") -> None:
        """Keep what a program of a node's box reported, in memory until the next writing."""
        lines = lines_of(samples, site=caller.site, node=caller.name)
        if lines:
            self._heard[caller.node_id, source] = {
                "node_id": caller.node_id,
                "source": source,
                "site": caller.site,
                "at": self._clock(),
                "lines": lines,
            }

    async def write(self) -> None:
        """Write what was heard, all in one transaction."""
        heard, self._heard = self._heard, {}
        if not heard:
            return
        try:
            async with self._database.transaction() as tx:
                await repository.keep(tx, heard.values())
        except Exception:
            self._heard = heard | self._heard
            raise

    async def follow(self) -> None:
        """Run for ever. A database that does not answer delays figures and nothing else."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.write()
            except Exception as error:
                log.warning("figures.unwritten", error=type(error).__name__)

    async def text(self, *, scope: Scope, site: str | None = None) -> str:
        """The figures of the nodes that are heard of, in the Prometheus text format. A silent node has none."""
        async with self._database.snapshot() as session:
            texts = await repository.since(session, after=self._clock() - SILENT_AFTER, sites=scope, site=site)
        return await asyncio.to_thread(exposition, texts)
