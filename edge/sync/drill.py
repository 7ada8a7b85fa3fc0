"""An outage on purpose: the road to the centre is cut for some minutes, and what came of it is told afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from edge.errors import SettingsError, UplinkUnreachable
from edge.sync.commands import Asked, Outcome
from edge.sync.road import Road
from edge.sync.uplink import Uplink
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.enrolment_pb2 import RenewResponse
from mesh.v1.sync_pb2 import (
    Command,
    PullPolicyRequest,
    PushBatchRequest,
    PushBatchResponse,
    ReportCommandRequest,
    ReportStatusRequest,
    ReportStatusResponse,
)

log = structlog.get_logger(__name__)

OUTAGE_DRILL = "outage-drill"
LONGEST_SECONDS = 4 * 3600
CATCH_UP_SECONDS = 300.0

Facts = Callable[[], Mapping[str, object]]


class OutageDrill:
    """Cuts one road. One drill at a time; a node that stops ends it, and the road is whole again after its start."""

    def __init__(
        self,
        road: Road,
        *,
        reconnect: Callable[[], Uplink],
        facts: Facts,
        behind: Callable[[], bool],
        stopping: threading.Event,
        catch_up_seconds: float = CATCH_UP_SECONDS,
    ) -> None:
        """`facts` are the node's own counts; `behind` says whether the centre has events to hear yet."""
        self._road, self._reconnect, self._facts, self._behind = road, reconnect, facts, behind
        self._stopping, self._catch_up = stopping, catch_up_seconds
        self._one = threading.Lock()

    def run(self, asked: Asked) -> Outcome:
        """Cut for `seconds`, join again, wait until the centre knows all, and say what happened meanwhile.

        Raises:
            SettingsError: the time cannot be used, or another drill is under way.
        """
        seconds = _seconds(asked.arguments.get("seconds", ""))
        if not self._one.acquire(blocking=False):
            raise SettingsError("another outage drill is under way", hint="Wait for its end.")
        try:
            return self._drill(seconds)
        finally:
            self._one.release()

    def _drill(self, seconds: float) -> Outcome:
        before, began = self._facts(), time.monotonic()
        log.warning("drill.begun", seconds=seconds)
        self._road.exchange(CutUplink())
        self._stopping.wait(seconds)
        away, cut_for = self._facts(), time.monotonic() - began
        self._road.exchange(self._reconnect())
        told_after = self._wait_until_told()
        log.warning("drill.ended", seconds=round(cut_for, 1))
        outbox = _number(away, "outbox_events")
        result = {
            "cut_seconds": round(cut_for, 1),
            "events_kept_meanwhile": max(0, outbox - _number(before, "outbox_events")),
            "instances_held_before": _number(before, "instances_held"),
            "instances_held_at_the_end": _number(away, "instances_held"),
            "deliveries_waiting_before": _number(before, "deliveries_waiting"),
            "deliveries_waiting_at_the_end": _number(away, "deliveries_waiting"),
            "deliveries_parked_meanwhile": _number(away, "deliveries_parked") - _number(before, "deliveries_parked"),
            "caught_up_after_seconds": told_after,
        }
        if told_after is None:
            text = f"Cut off for {cut_for:.0f} s. {outbox} events were kept; not all are told yet."
            return Outcome(done=False, text=text, result=result)
        text = f"Cut off for {cut_for:.0f} s. {outbox} events were kept and all told {told_after:.0f} s after."
        return Outcome(done=True, text=text, result=result)

    def _wait_until_told(self) -> float | None:
        began = time.monotonic()
        while time.monotonic() - began < self._catch_up:
            if not self._behind():
                return round(time.monotonic() - began, 1)
            if self._stopping.wait(0.2):
                break
        return None


class CutUplink:
    """A road that leads nowhere."""

    def push(self, _request: PushBatchRequest, /) -> PushBatchResponse:
        """No answer."""
        raise _cut()

    def pull_policy(self, _request: PullPolicyRequest, /) -> PolicyBundle | None:
        """No answer."""
        raise _cut()

    def report_status(self, _request: ReportStatusRequest, /) -> ReportStatusResponse:
        """No answer."""
        raise _cut()

    def pull_commands(self) -> Sequence[Command]:
        """No answer."""
        raise _cut()

    def report_command(self, _request: ReportCommandRequest, /) -> None:
        """No answer."""
        raise _cut()

    def renew(self, _csr_pem: bytes, /) -> RenewResponse:
        """No answer."""
        raise _cut()

    def close(self) -> None:
        """Nothing is open."""


def _cut() -> UplinkUnreachable:
    return UplinkUnreachable("an outage drill is under way")


def _seconds(word: str) -> float:
    if not word.isdecimal() or not 1 <= int(word) <= LONGEST_SECONDS:
        raise SettingsError("an outage drill takes 1 s to 4 hours", hint="Give seconds as a whole number.")
    return float(word)


def _number(facts: Mapping[str, object], name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0
