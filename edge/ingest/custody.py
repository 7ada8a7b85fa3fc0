"""The seam between the bytes of C-STORE and the buffer: what taking an instance in means, and when it is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from edge import metrics
from edge.buffer.part10 import FileMeta
from edge.errors import SpoolError, SpoolFull
from edge.health import SPOOL_FULL, HealthBoard
from edge.model import SealedInstance

log = structlog.get_logger(__name__)
Pieces = Sequence[memoryview | bytes]


class Reception(Protocol):
    """One data set that is coming in; exactly one of `seal` and `discard` ends it."""

    def write(self, pieces: Pieces) -> None:
        """Append bytes exactly as they came off the wire."""

    def fingerprint(self, last: Pieces = ()) -> tuple[int, int]:
        """Length and checksum of the data set with these last bytes."""

    def seal(self, last: Pieces = ()) -> SealedInstance:
        """Append the last bytes; return only when the instance would survive a power cut."""

    def discard(self) -> None:
        """Forget what came so far."""


class Intake(Protocol):
    """Where spool files come from."""

    def begin(self, meta: FileMeta, *, expected_bytes: int = 0) -> Reception:
        """Start taking an instance in."""

    def room(self) -> tuple[int, int]:
        """Bytes free and bytes in all on the spool's disk."""


class Refusals(Protocol):
    """What the policy says of objects that come once more with other bytes."""

    def refusing(self) -> bool:
        """Whether any are refused."""

    def refuses(self, sop_instance_uid: str, length: int, checksum: int) -> bool:
        """Whether this one is."""


class Duplicate(SpoolError):
    """An object of this UID is held with other bytes, and the policy refuses a second one."""

    hint = "The sender keeps its copy. Look at why it sends two objects under one UID."


class Custody:
    """Takes instances in, or says why not. Holds no lock while bytes flow."""

    def __init__(
        self,
        intake: Intake,
        arrived: Callable[[SealedInstance], None],
        health: HealthBoard,
        min_free_bytes: int,
        refusals: Refusals | None = None,
    ) -> None:
        """`arrived` tells routing of an instance in custody; it never blocks and never fails."""
        self._refusals = refusals
        self._intake, self._arrived, self._health, self._min_free_bytes = intake, arrived, health, min_free_bytes
        self._full = False

    def has_room(self) -> bool:
        """Whether there is more free than half of what new instances need: below, no association is opened."""
        try:
            return self._intake.room()[0] >= self._min_free_bytes // 2
        except OSError:
            return False  # a spool that cannot be looked at takes nothing in

    def takes(self) -> bool:
        """Whether a new instance would be taken in, as far as room goes."""
        try:
            return self._intake.room()[0] >= self._min_free_bytes
        except OSError:
            return False

    def check_room(self) -> None:
        """Before an instance is taken in.

        Raises:
            SpoolFull: free space is under the watermark: the caller answers 0xA700, and the peer keeps its copy.
        """
        if self._intake.room()[0] < self._min_free_bytes:
            self._full = True
            self._health.raise_condition(SPOOL_FULL)
            raise SpoolFull
        if self._full:
            self._full = False
            self._health.clear(SPOOL_FULL.code)

    def begin(self, meta: FileMeta, expected_bytes: int) -> Reception:
        """Start an instance of about so many bytes.

        Raises:
            SpoolError: there is no file for it.
        """
        return self._intake.begin(meta, expected_bytes=expected_bytes)

    def complete(self, reception: Reception, sop_instance_uid: str, last: Pieces) -> SealedInstance:
        """Return when the instance is in custody; from then on success may be answered.

        Raises:
            Duplicate: the policy refuses it. SpoolError: it is not in custody. Nothing of it is left.
        """
        held = self._refusals
        if held is not None and held.refusing() and held.refuses(sop_instance_uid, *reception.fingerprint(last)):
            raise Duplicate
        started = time.perf_counter()
        sealed = reception.seal(last)
        metrics.CUSTODY_SECONDS.observe(time.perf_counter() - started)
        metrics.INSTANCES_ACCEPTED.inc()
        metrics.BYTES_ACCEPTED.inc(sealed.data_set_length)
        return sealed

    def hand_on(self, sealed: SealedInstance) -> None:
        """Tell routing of an instance whose sender has its answer."""
        self._arrived(sealed)

    def refused(self, error: SpoolError) -> None:
        """Count and say that an instance was not taken; its sender heard so, and keeps it."""
        reason = "spool-failed"
        if isinstance(error, SpoolFull | Duplicate):
            reason = "spool-full" if isinstance(error, SpoolFull) else "duplicate"
        metrics.INSTANCES_REFUSED.labels(reason=reason).inc()
        log.error("ingest.refused", reason=reason, error=str(error), hint=error.hint)
