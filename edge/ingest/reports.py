"""Reports of storage commitment over associations of our own, for modalities that do not wait for theirs.

They are kept in memory only: what a restart forgets, a modality asks for again, and gets the answer of that moment.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from edge import metrics
from edge.upper_layer.announcing import Verdict
from edge.upper_layer.reporting import deliver

log = structlog.get_logger(__name__)
MOST_OWED = 1000
GIVEN_UP_SECONDS = 24 * 3600.0
PAUSES = (2.0, 10.0, 60.0, 300.0, 900.0)
Deliver = Callable[..., bool]


@dataclass(slots=True)
class _Owed:
    ae_title: str
    verdict: Verdict
    since: float
    next_at: float
    tries: int = 0


class Reports:
    """One thread, which lives while something is owed."""

    def __init__(
        self,
        ae_title: str,
        addresses: Sequence[str],
        *,
        deliver: Deliver = deliver,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`addresses` are `AETITLE@HOST:PORT`, as settings checked them."""
        self._ae_title, self._deliver, self._pauses = ae_title, deliver, pauses
        self._addresses = dict(map(_address, addresses))
        self._owed: deque[_Owed] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, ae_title: str, verdict: Verdict) -> bool:
        """Tell this modality soon; False when nobody knows where it listens."""
        if ae_title not in self._addresses or self._stopping.is_set():
            return False
        now = time.monotonic()
        with self._lock:
            if len(self._owed) >= MOST_OWED:
                self._give_up(self._owed.popleft())
            self._owed.append(_Owed(ae_title, verdict, now, now))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
                self._thread.start()
        return True

    def stop(self) -> None:
        """End; never waits for a peer."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                if not self._owed:
                    self._thread = None
                    return
                one = min(self._owed, key=lambda owed: owed.next_at)
            if self._stopping.wait(max(0.0, min(one.next_at - time.monotonic(), 1.0))):
                return
            if one.next_at <= time.monotonic():
                self._try(one)

    def _try(self, one: _Owed) -> None:
        host, port = self._addresses[one.ae_title]
        try:
            taken = self._deliver(one.verdict, host, port, calling=self._ae_title, called=one.ae_title)
        except Exception:
            taken = False
            log.warning("commitment.report_failed", calling_ae_title=one.ae_title, exc_info=True)
        one.tries += 1
        now = time.monotonic()
        one.next_at = now + self._pauses[min(one.tries, len(self._pauses)) - 1]
        over = now - one.since > GIVEN_UP_SECONDS
        if not (taken or over):
            return
        with self._lock:
            if one in self._owed:
                self._owed.remove(one)
        if taken:
            metrics.COMMITMENT_REPORTS.labels(outcome="taken").inc()
        else:
            self._give_up(one)

    def _give_up(self, one: _Owed) -> None:
        metrics.COMMITMENT_REPORTS.labels(outcome="unreported").inc()
        hint = "It took no report for a day, or too many are owed. Look at its address in commitment_reports."
        log.warning("commitment.unreported", calling_ae_title=one.ae_title, hint=hint)


def _address(text: str) -> tuple[str, tuple[str, int]]:
    ae_title, _, endpoint = text.rpartition("@")
    host, _, port = endpoint.rpartition(":")
    return ae_title, (host.strip("[]"), int(port))
