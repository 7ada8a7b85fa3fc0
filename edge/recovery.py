"""What a node does before it opens its door: every sealed file gets its row, every broken lease its end."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from edge import metrics
from edge.buffer.store import Buffer
from edge.errors import SealBroken, SpoolError
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
    """Files that did not match their seal (set aside), could not be read, or are not ours."""
    resumed: int = 0
    """Deliveries that the dead process was sending."""


def recover(buffer: Buffer, admit: Callable[[Sequence[SealedInstance]], int]) -> Recovered:
    """Return when index and spool agree. Call only while nothing receives or sends.

    Safe to repeat, and safe to be killed in: each step leaves a state that the next run repairs. A file that cannot
    be read stops neither the others nor the start of the node.
    """
    counts = Counter(resumed=buffer.recover())
    for stranger in buffer.spool.strangers():
        counts["damaged"] += 1
        log.error("recovery.not_ours", name=stranger.name, hint="Move it out of the spool; it is left alone.")
    for group in _batched(buffer.spool.instance_ids(), BATCH):
        known = buffer.known(group)
        for instance_id, held in known.items():
            if not held:
                buffer.spool.release(instance_id)  # retention was killed between its commit and the unlink
        found = [_adopt(buffer, instance_id, counts) for instance_id in group if instance_id not in known]
        counts["adopted"] += _admit([one for one in found if one is not None], buffer, admit)
    metrics.INSTANCES_ADOPTED.inc(counts["adopted"])
    log.info("recovery.done", **{name: counts[name] for name in ("adopted", "unfinished", "damaged", "resumed")})
    return Recovered(**counts)


def _adopt(buffer: Buffer, instance_id: str, counts: Counter[str]) -> SealedInstance | None:
    try:
        sealed = buffer.spool.adopt(instance_id)
    except (SpoolError, OSError) as error:
        counts["damaged"] += 1
        log.error("recovery.damaged", instance_id=instance_id, error=str(error), hint=SealBroken.hint)
        return None
    if sealed is None:
        counts["unfinished"] += 1
    return sealed


def _admit(found: Sequence[SealedInstance], buffer: Buffer, admit: Callable[[Sequence[SealedInstance]], int]) -> int:
    """Rows for these together; what fails so is left to routing, which isolates the one that fails."""
    if not found:
        return 0
    try:
        return admit(found)
    except Exception:
        log.exception("recovery.not_admitted", instances=len(found))
        for sealed in found:
            buffer.arrived(sealed)
        return len(found)


def _batched(ids: Iterator[str], size: int) -> Iterator[list[str]]:
    while group := list(itertools.islice(ids, size)):
        yield group
