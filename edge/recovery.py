"""What a node does before it opens its door: every sealed file gets its row, every broken lease its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge import metrics
from edge.buffer.store import Buffer
from edge.errors import SealBroken
from edge.model import SealedInstance

log = structlog.get_logger(__name__)
BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was found at start."""

    adopted: int = 0
    """Sealed files that had no row: acknowledged, but the process died before the commit."""
    unfinished: int = 0
    """Unsealed files: never acknowledged, removed."""
    damaged: int = 0
    """Files that did not match their seal: set aside."""
    resumed: int = 0
    """Deliveries that the dead process was sending."""


def recover(buffer: Buffer, admit: Callable[[Sequence[SealedInstance]], int]) -> Recovered:
    """Return when index and spool agree. Call only while nothing receives or sends.

    Safe to repeat, and safe to be killed in: each step leaves a state that the next run repairs.
    """
    resumed = buffer.recover()
    known = buffer.known_ids()
    adopted = unfinished = damaged = 0
    batch: list[SealedInstance] = []
    for instance_id in list(buffer.spool.instance_ids()):
        held = known.get(instance_id)
        if held is False:
            buffer.spool.release(instance_id)  # retention was killed between its commit and the unlink
        if held is not None:
            continue
        try:
            sealed = buffer.spool.adopt(instance_id)
        except SealBroken as error:
            damaged += 1
            log.error("recovery.damaged", instance_id=instance_id, error=str(error), hint=error.hint)
            continue
        if sealed is None:
            unfinished += 1
            continue
        batch.append(sealed)
        if len(batch) == BATCH:
            adopted += admit(batch)
            batch = []
    if batch:
        adopted += admit(batch)
    metrics.INSTANCES_ADOPTED.inc(adopted)
    found = Recovered(adopted=adopted, unfinished=unfinished, damaged=damaged, resumed=resumed)
    log.info("recovery.done", adopted=adopted, unfinished=unfinished, damaged=damaged, resumed=resumed)
    return found
