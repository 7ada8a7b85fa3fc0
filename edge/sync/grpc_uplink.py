"""The main road: unary gRPC over mutual TLS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import grpc

from edge.errors import UplinkError, UplinkInvalid, UplinkRefused, UplinkUnreachable
from edge.sync.identity import NodeIdentity
from mesh.v1.common_pb2 import PolicyBundle
from mesh.v1.enrolment_pb2 import RenewRequest, RenewResponse
from mesh.v1.enrolment_pb2_grpc import IdentityStub
from mesh.v1.sync_pb2 import (
    Command,
    PullCommandsRequest,
    PullPolicyRequest,
    PushBatchRequest,
    PushBatchResponse,
    ReportCommandRequest,
    ReportStatusRequest,
    ReportStatusResponse,
)
from mesh.v1.sync_pb2_grpc import EdgeSyncStub

# gRPC's core writes handshake failures to stderr in a format of its own, between our JSON lines; what they mean is
# told by edge.sync.diagnosis. Read when the first channel is made; whoever debugs gRPC itself sets another value.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

DEADLINE_SECONDS = 30.0

CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # 0 = no limit; the default stops the pings of an idle channel, and a dead path is then never noticed.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 8 << 20),
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    # Below our own cap, so that a try of ours is not answered by gRPC's memory of an older failure.
    ("grpc.max_reconnect_backoff_ms", 20_000),
)

_REFUSALS: dict[grpc.StatusCode, type[UplinkRefused]] = {
    grpc.StatusCode.INVALID_ARGUMENT: UplinkInvalid,
    grpc.StatusCode.OUT_OF_RANGE: UplinkInvalid,
    grpc.StatusCode.UNAUTHENTICATED: UplinkRefused,
    grpc.StatusCode.PERMISSION_DENIED: UplinkRefused,
    grpc.StatusCode.FAILED_PRECONDITION: UplinkRefused,
    grpc.StatusCode.NOT_FOUND: UplinkRefused,
    grpc.StatusCode.ALREADY_EXISTS: UplinkRefused,
    grpc.StatusCode.UNIMPLEMENTED: UplinkRefused,
    grpc.StatusCode.DATA_LOSS: UplinkRefused,
}
"""Status codes for which a person is needed. Every other one passes with time."""

_Answer = TypeVar("_Answer")


class GrpcUplink:
    """An Uplink to one endpoint as one identity. Certificates are fixed for its life: renewal opens another one."""

    def __init__(self, identity: NodeIdentity, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=identity.ca_pem,
            private_key=identity.key_pem,
            certificate_chain=identity.certificate_pem,
        )
        self._deadline = deadline_seconds
        self._channel = grpc.secure_channel(
            identity.grpc_endpoint, credentials, options=CHANNEL_OPTIONS, compression=grpc.Compression.Gzip
        )
        self._sync = EdgeSyncStub(self._channel)
        self._identity = IdentityStub(self._channel)

    def push(self, request: PushBatchRequest) -> PushBatchResponse:
        """Events up, the cumulative ack down."""
        return _ask(lambda: self._sync.PushBatch(request, timeout=self._deadline))

    def pull_policy(self, request: PullPolicyRequest) -> PolicyBundle | None:
        """The site's policy when it differs; the deadline leaves room for the wait that was asked for."""
        timeout = self._deadline + request.wait_seconds
        answer = _ask(lambda: self._sync.PullPolicy(request, timeout=timeout))
        return answer.policy if answer.HasField("policy") else None

    def report_status(self, request: ReportStatusRequest) -> ReportStatusResponse:
        """What the node runs and how it is."""
        return _ask(lambda: self._sync.ReportStatus(request, timeout=self._deadline))

    def pull_commands(self) -> Sequence[Command]:
        """What people ask of this node."""
        return _ask(lambda: self._sync.PullCommands(PullCommandsRequest(), timeout=self._deadline)).commands

    def report_command(self, request: ReportCommandRequest) -> None:
        """How a command went."""
        _ask(lambda: self._sync.ReportCommand(request, timeout=self._deadline))

    def renew(self, csr_pem: bytes) -> RenewResponse:
        """A fresh certificate for this node."""
        return _ask(lambda: self._identity.Renew(RenewRequest(csr_pem=csr_pem), timeout=self._deadline))

    def close(self) -> None:
        """End every call in flight, and give the connection back."""
        self._channel.close()


def _ask(call: Callable[[], _Answer]) -> _Answer:
    try:
        return call()
    except grpc.RpcError as error:
        raise translated(error) from error
    except ValueError as error:
        # What grpc raises for a call on a closed channel.
        raise UplinkUnreachable(f"The connection is closed: {error}") from error


def translated(error: grpc.RpcError) -> UplinkError:
    """Our error for gRPC's; the map is complete because what it does not name passes with time."""
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    details = (error.details() if isinstance(error, grpc.Call) else "") or code.name
    if code in _REFUSALS:
        return _REFUSALS[code](details)
    return UplinkUnreachable(f"{code.name}: {details}", retry_after=_retry_after(error))


def _retry_after(error: grpc.RpcError) -> float:
    if not isinstance(error, grpc.Call):
        return 0.0
    trailers: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == "retry-after-ms" and str(value).isdigit():
            return min(int(value) / 1000, 300.0)
    return 0.0
