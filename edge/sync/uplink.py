"""The one road to the control plane, as the link sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from edge.sync.identity import NodeIdentity
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


class Uplink(Protocol):
    """Six unary calls. Each may be repeated; none is made from the data path.

    Every call raises UplinkUnreachable when there was no answer (try again), UplinkRefused when the control plane
    said no (a person is needed), and UplinkInvalid when it cannot read what was sent (sending it again is useless).
    """

    def push(self, request: PushBatchRequest) -> PushBatchResponse:
        """Events up, the cumulative ack down."""

    def pull_policy(self, request: PullPolicyRequest) -> PolicyBundle | None:
        """The site's policy when it differs from what the node has; waits up to the request's `wait_seconds`."""

    def report_status(self, request: ReportStatusRequest) -> ReportStatusResponse:
        """What the node runs and how it is."""

    def pull_commands(self) -> Sequence[Command]:
        """What people ask of this node, the oldest first."""

    def report_command(self, request: ReportCommandRequest) -> None:
        """How a command went."""

    def renew(self, csr_pem: bytes) -> RenewResponse:
        """A fresh certificate for this node."""

    def close(self) -> None:
        """End every call in flight with UplinkUnreachable, and give the connection back."""


Connect = Callable[[NodeIdentity], Uplink]
"""Opens an uplink as one identity; does not wait for the other side."""
