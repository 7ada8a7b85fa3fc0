"""The two duties of the link: take pools from the centre, and tell it what is so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import structlog

from haproxy.link.uplink import PoolsUplink
from haproxy.link.verifying import Verified
from haproxy.manager.answers import facts_of
from haproxy.manager.interface import PoolManager, Rejected
from haproxy.manager.rejections import PASSING
from mesh.v1.pools_pb2 import SignedPools
from mesh.v1.sync_pb2 import Figure

log = structlog.get_logger(__name__)
LONG_POLL_SECONDS = 50
AGAIN_SECONDS = 5.0
REPORT_SECONDS = 15.0
LOOK_SECONDS = 1.0
Uplinks = Callable[[], PoolsUplink]
"""The connection to use now."""


class PullPools:
    """Asks for other pools than those that run here, and lets the manager make them so."""

    name = "pools"

    def __init__(
        self,
        uplink: Uplinks,
        manager: PoolManager,
        verify: Callable[[SignedPools], Verified],
        *,
        long_poll_seconds: int = LONG_POLL_SECONDS,
    ) -> None:
        self._uplink, self._manager, self._verify = uplink, manager, verify
        self._long_poll, self._refused = long_poll_seconds, 0

    def step(self) -> float:
        """Ask once; seconds to wait. Raises UplinkError, and NotOurs for what nobody should have sent."""
        report = self._manager.report()
        have = report.order if report.origin == "centre" else 0
        offered = self._uplink().pull(have=have, refused=self._refused, wait_seconds=self._long_poll)
        if offered is None:
            return 0.0
        found = self._verify(offered)
        outcome = self._manager.offer(found.document, fingerprint=found.fingerprint)
        if not isinstance(outcome, Rejected):
            self._refused = 0
            return 0.0
        # One that was refused for good is not offered again while this waits; one whose reason passes is, in a while.
        self._refused = 0 if outcome.code in PASSING else outcome.order
        return AGAIN_SECONDS


class ReportPools:
    """Tells the centre when something changed, and every few seconds how many associations are open."""

    name = "report"

    def __init__(self, uplink: Uplinks, manager: PoolManager, figures: Callable[[], Sequence[Figure]]) -> None:
        self._uplink, self._manager, self._figures = uplink, manager, figures
        self._told_at: float | None = None

    def step(self) -> float:
        """Report when it is time. Raises UplinkError."""
        news = self._manager.wait_for_change(LOOK_SECONDS)
        due = self._told_at is None or time.monotonic() - self._told_at >= REPORT_SECONDS
        if news or due:
            self._told_at = None  # until it has arrived
            content = json.dumps(facts_of(self._manager.report()))
            self._uplink().report(content.encode(), self._figures())
            self._told_at = time.monotonic()
        return 0.0
