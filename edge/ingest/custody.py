"""The seam between a way of reading bytes and the buffer: whoever reads C-STORE data sets speaks only this.

A faster reader replaces the one in `scp.py` without touching anything behind this line.
"""

from __future__ import annotations

import time

import structlog

from edge import metrics
from edge.buffer.part10 import FileMeta
from edge.buffer.reception import Reception
from edge.buffer.store import Buffer
from edge.errors import SpoolError, SpoolFull
from edge.health import SPOOL_FULL, HealthBoard
from edge.model import SealedInstance

log = structlog.get_logger(__name__)


class Custody:
    """Takes instances in, or says why not. Holds no lock while bytes flow."""

    def __init__(self, buffer: Buffer, health: HealthBoard, min_free_bytes: int) -> None:
        self._buffer, self._health, self._min_free_bytes = buffer, health, min_free_bytes

    def begin(self, meta: FileMeta) -> Reception:
        """Start an instance.

        Raises:
            SpoolFull: free space is under the watermark: the caller answers 0xA700, and the peer keeps its copy.
        """
        free, _total = self._buffer.spool.room()
        if free < self._min_free_bytes:
            self._health.raise_condition(SPOOL_FULL)
            raise SpoolFull
        self._health.clear(SPOOL_FULL.code)
        return self._buffer.receive(meta)

    def complete(self, reception: Reception) -> SealedInstance:
        """Return when the instance is in custody; from then on success may be answered.

        Raises:
            SpoolError: it is not, and nothing of it is left.
        """
        started = time.perf_counter()
        sealed = reception.seal()
        self._buffer.arrived(sealed)
        metrics.CUSTODY_SECONDS.observe(time.perf_counter() - started)
        metrics.INSTANCES_ACCEPTED.inc()
        metrics.BYTES_ACCEPTED.inc(sealed.data_set_length)
        return sealed

    def refused(self, error: SpoolError) -> None:
        """Count and say that an instance could not be taken; its sender got 0xA700 and keeps it."""
        reason = "spool-full" if isinstance(error, SpoolFull) else "spool-failed"
        metrics.INSTANCES_REFUSED.labels(reason=reason).inc()
        log.error("ingest.refused", reason=reason, error=str(error), hint=error.hint)
