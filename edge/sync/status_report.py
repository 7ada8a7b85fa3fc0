"""The status duty: tell the centre what runs here and how it is, at start, on change and every minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf import json_format

from edge.errors import UplinkInvalid
from edge.sync import conditions
from edge.sync.conditions import LinkHealth
from edge.sync.uplink import Uplink
from mesh.v1.sync_pb2 import PolicyFigures, PolicyStatus, ReportStatusRequest, ReportStatusResponse

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
LOOK_EVERY_SECONDS = 5.0
CLOCK_TOLERANCE = timedelta(minutes=2)


class ReportStatus:
    """One duty of the link. `status` gives the node's own fields of ReportStatusRequest by their proto names."""

    name = "status"

    def __init__(
        self,
        *,
        uplink: Uplink,
        health: LinkHealth,
        status: Callable[[], Mapping[str, object]],
        policy: Callable[[], PolicyStatus],
        policy_figures: Callable[[], PolicyFigures | None] = lambda: None,
        boot_id: str,
        epoch: Callable[[], int],
        software_version: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        every_seconds: float = EVERY_SECONDS,
        on_commands: Callable[[], None] = lambda: None,
    ) -> None:
        self._uplink = uplink
        self._health = health
        self._status = status
        self._policy = policy
        self._policy_figures = policy_figures
        self._boot_id = boot_id
        self._epoch = epoch
        self._software_version = software_version
        self._now = now
        self._monotonic = monotonic
        self._every = every_seconds
        self._on_commands = on_commands
        self._told: bytes | None = None
        self._told_at = 0.0

    def step(self) -> float:
        """Report when something changed or a minute has passed; say how long to wait. Raises UplinkError."""
        request = self._request()
        news = _news(request)
        due = self._told is None or self._monotonic() - self._told_at >= self._every
        if due or news != self._told:
            asked_at = self._now()
            self._heed(self._report(request), asked_at)
            self._told, self._told_at = news, self._monotonic()
        return min(LOOK_EVERY_SECONDS, self._every)

    def _report(self, request: ReportStatusRequest) -> ReportStatusResponse:
        try:
            answer = self._uplink.report_status(request)
        except UplinkInvalid as error:
            text = f"The control plane cannot read this node's status report: {error}"
            self._health.hold(conditions.CENTRE_INCOMPATIBLE.saying(text, subject=self.name))
            raise
        self._health.clear(conditions.CENTRE_INCOMPATIBLE.code, subject=self.name)
        return answer

    def _request(self) -> ReportStatusRequest:
        request = ReportStatusRequest()
        json_format.ParseDict(dict(self._status()), request, ignore_unknown_fields=True)
        request.boot_id = self._boot_id
        request.epoch = self._epoch()
        request.software_version = self._software_version
        request.policy.CopyFrom(self._policy())
        if (figures := self._policy_figures()) is not None:
            request.policy_figures.CopyFrom(figures)
        request.node_time.FromDatetime(self._now())
        return request

    def _heed(self, answer: ReportStatusResponse, asked_at: datetime) -> None:
        if answer.clone_suspected:
            self._health.hold(conditions.IDENTITY_IN_USE_TWICE)
        else:
            self._health.clear(conditions.IDENTITY_IN_USE_TWICE.code)
        if answer.commands_waiting:
            self._on_commands()
        if not answer.HasField("server_time"):
            return
        off = asked_at - answer.server_time.ToDatetime(tzinfo=UTC)
        if abs(off) > CLOCK_TOLERANCE:
            side = "ahead of" if off > timedelta() else "behind"
            minutes = round(abs(off).total_seconds() / 60)
            self._health.hold(
                conditions.CLOCKS_DIFFER.saying(f"This box's clock is {minutes} minutes {side} the control plane's.")
            )
        else:
            self._health.clear(conditions.CLOCKS_DIFFER.code)


def _news(request: ReportStatusRequest) -> bytes:
    """What is worth a report at once: the policy and the conditions, not the counters."""
    news = ReportStatusRequest(
        policy=request.policy, dicom_endpoint=request.dicom_endpoint, addresses=request.addresses
    )
    for condition in sorted(request.conditions, key=lambda held: (held.code, held.text)):
        # The code and severity only: words with a count in them would report every few seconds.
        news.conditions.add(code=condition.code, severity=condition.severity)
    return news.SerializeToString(deterministic=True)
